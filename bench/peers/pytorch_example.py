"""The VAE example of PyTorch's examples repository (vae/main.py), with its own training loop.

Differences: the learning rate is that of the comparison, so that the losses can be compared. The
initial weights are the same as for the other sides. Images come from one array; torchvision would
convert each to a picture first, so this is in the example's favour.
"""

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from common import LEARNING_RATE, give_up, read_safetensors


class Images(Dataset):
    """MNIST with transforms.ToTensor(): converts an image to a float tensor when it is read."""

    def __init__(self, images: np.ndarray):
        self.images = images.reshape(-1, 28, 28)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(np.array(self.images[index], copy=True)).unsqueeze(0)
        return image.contiguous().float().div(255), 0  # the example ignores the label


class ExampleVAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 400)
        self.fc21 = nn.Linear(400, 20)
        self.fc22 = nn.Linear(400, 20)
        self.fc3 = nn.Linear(20, 400)
        self.fc4 = nn.Linear(400, 784)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h1 = F.relu(self.fc1(x.view(-1, 784)))
        mu, logvar = self.fc21(h1), self.fc22(h1)
        std = torch.exp(0.5 * logvar)
        z = mu + torch.randn_like(std) * std
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar

    def load_checkpoint(self, path: str) -> None:
        """Loads the weights of an elbo checkpoint, in which both heads are one layer."""
        tensors = read_safetensors(path)
        layers = {"fc1": "encoder.0", "fc3": "decoder.0", "fc4": "likelihood"}
        state = {}
        for kind in ("weight", "bias"):
            for name, layer in layers.items():
                state[f"{name}.{kind}"] = torch.from_numpy(tensors[f"{layer}.{kind}"])
            heads = torch.from_numpy(tensors[f"posterior.{kind}"])
            state[f"fc21.{kind}"], state[f"fc22.{kind}"] = heads.chunk(2)
        self.load_state_dict(state)


def loss_function(recon_x: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


class ExampleTraining:
    def __init__(self, options, images: np.ndarray):
        if options.model != "784-400-z20" or options.iwae or options.precision == "bf16":
            give_up("mode example is 784-400-z20 in fp32 or tf32, without --iwae")
        self.device = torch.device(options.device)
        kwargs = {"num_workers": 1, "pin_memory": True} if options.device == "cuda" else {}
        self.loader = DataLoader(Images(images), batch_size=options.batch, shuffle=True, **kwargs)
        self.model = ExampleVAE()
        if options.initial_weights:
            self.model.load_checkpoint(options.initial_weights)
        self.initial = {name: t.clone() for name, t in self.model.state_dict().items()}
        self.model.to(self.device)

    def batches(self):
        while True:
            yield from self.loader

    def prepare(self) -> None:
        self.start_round(1, np.zeros((1, 3, 1)))
        self.run_block(0)

    def start_round(self, seed: int, order: np.ndarray) -> None:
        """Uses only the number of steps of `order`: the loader draws its own order."""
        torch.manual_seed(seed)
        self.block_steps = order.shape[1]
        self.model.load_state_dict(self.initial)
        self.optimizer = optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        self.stream = self.batches()

    def run_block(self, number: int) -> list[float]:
        losses = []
        for _ in range(self.block_steps):
            data, _ = next(self.stream)
            data = data.to(self.device)
            self.optimizer.zero_grad()
            recon_batch, mu, logvar = self.model(data)
            loss = loss_function(recon_batch, data, mu, logvar)
            loss.backward()
            losses.append(loss.item() / len(data))
            self.optimizer.step()
        return losses
