"""Images that stay on disk until a batch or a block of them is needed."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import torch

# Batches that are read before they are used.
BATCHES_AHEAD = 2


def is_lazy(X):
    """Whether X is an array of images on disk, such as an `ImageFolder`.

    It has ``shape`` (n, channels, height, width), ``preparation``, ``n_workers``,
    ``subset(index)``, and gives uint8 arrays by index.
    """
    return hasattr(type(X), "subset") and hasattr(X, "preparation")


class LazyImages:
    """Rows of images on disk, for the road: tensors by index, read when they are asked for.

    Parameters
    ----------
    images : array-like for which `is_lazy` is true
    device : torch.device
        Where tensors are put.
    """

    dtype = torch.uint8
    ndim = 4

    def __init__(self, images, device="cpu"):
        self.images = images
        self.device = torch.device(device)

    @property
    def shape(self):
        return torch.Size(self.images.shape)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        rows = index.cpu().numpy() if torch.is_tensor(index) else index
        return torch.from_numpy(self.images[rows]).to(self.device)

    def index_select(self, dim, index):
        """As of a tensor, for ``dim`` 0."""
        return self[index]

    def subset(self, index):
        """Some of the rows, not read yet."""
        return LazyImages(self.images.subset(index), self.device)

    def to(self, device):
        """The same rows, for tensors on another device."""
        return LazyImages(self.images, device)

    def read_ahead(self, indices):
        """Tensors of one index after another; the next ones are read while one is used."""
        # Each by one thread alone: threads that share a batch spend much time on handing over.
        images = self.images.subset(slice(None))
        n_threads, images.n_workers = images.n_workers, 1
        alone = LazyImages(images, self.device)
        with ThreadPoolExecutor(n_threads) as readers:
            waiting = deque()
            for index in indices:
                waiting.append(readers.submit(alone.__getitem__, index))
                if len(waiting) > BATCHES_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
