"""Training of sampled styles: variational style transfer for the network for any style.

Kingma and Welling 2013, with the losses on style codes of Kotovenko et al. 2019. Of the latter's
method the adversarial part is left out: the picture network is trained already, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from rtstyle.errors import TrainingError
from rtstyle_export.data import Crops, list_pictures
from rtstyle_export.maths.functional import (
    content_distance,
    gram_matrix,
    style_distance,
    total_variation,
)
from rtstyle_export.maths.variational import (
    disentanglement_loss,
    fixpoint_triplet_loss,
    kl_divergence,
    kl_weight,
)
from rtstyle_export.networks.adain import COLOURS, painting_statistics
from rtstyle_export.networks.adain_fast import FastPair, fitting
from rtstyle_export.networks.encoder import STYLE_LAYERS, normalised_vgg
from rtstyle_export.networks.variational import VariationalStyle, sample
from rtstyle_export.runs.adain_config import AdainConfig, AnyCanvasConfig
from rtstyle_export.runs.checkpoint import SCALES, Checkpoint, scales_of, without_scales
from rtstyle_export.runs.loop import BatchLoop, Machine
from rtstyle_export.runs.loss_network import find_vgg
from rtstyle_export.runs.onnx_reader import (
    adain_checkpoint_of,
    part_of,
    sampled_checkpoint_of,
)
from rtstyle_export.runs.variational_config import VariationalConfig
from rtstyle_export.train.style_vectors import Tell, gather

DEEPEST = STYLE_LAYERS[-1]
COLOUR_WEIGHT = 10.0
"""Of the six numbers of a painting's colours in the distance of vectors: all see them at once."""
MIXED = 0.5
"""Share of the vectors that are drawn between those of two paintings."""
FITTED = 0.2
"""Share of the paintings drawn from those whose vector is fitted, as these are few."""
PREVIEWS = 3
"""Samples in the preview picture."""


class SampledStyles(nn.Module):
    """The latent space, with the network for any style that it is for, which is not trained."""

    def __init__(self, config: VariationalConfig) -> None:
        super().__init__()
        self.pair = FastPair().requires_grad_(False)
        self.style = VariationalStyle(self.pair.net.numbers, config.latent, config.hidden)


class Triples(Dataset[tuple[Tensor, ...]]):
    """Item `i`: two photos and a painting, drawn independently; of the first `blind`, nothing."""

    def __init__(self, photos: list[Path], paintings: list[Path], side: int, seed: int, blind: int):
        self.photos, self.paintings = Crops(photos, side, seed), Crops(paintings, side, seed + 1)
        self.blind = blind

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        if index < self.blind:
            return (torch.empty(0),) * 3
        return self.photos[2 * index], self.photos[2 * index + 1], self.paintings[index]


class VariationalTrainer(BatchLoop):
    """A run of `rtstyle train-variational`, on the folders `photos` and `paintings`.

    `init_from` is the content file of the network for any style, beside its style file, the code
    file of a latent space to go on from, or a checkpoint of either. `tell` is told how many vectors
    of paintings are gathered.
    """

    config: VariationalConfig
    net: SampledStyles

    def __init__(
        self,
        config: VariationalConfig,
        photos: Path,
        paintings: Path,
        folder: Path,
        machine: Machine | None = None,
        *,
        init_from: Path,
        vgg_weights: Path | None = None,
        tell: Tell = lambda _done, _all: None,
    ) -> None:
        config.check()
        if machine is not None and machine.world > 1:
            raise TrainingError("Sampled styles are trained by one process.", "", "Start one.")
        self.config = config
        self.photos, self.paintings = list_pictures(photos), list_pictures(paintings)
        self._vgg = find_vgg("vgg19", STYLE_LAYERS, vgg_weights)
        known = self.known(folder, init_from)
        self.scales = scales_of(self.start(known).model)
        self.vectors = gather(self.paintings, folder / "vectors.npz", config.fitted, tell)
        super().__init__(config, folder, machine, init_from=init_from)
        self.loss_network = normalised_vgg(self._vgg, self.scales, STYLE_LAYERS)
        self.loss_network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.device.type == "cpu" and self.dtype is torch.float32:
            self.loss_network.accelerate()
        weights = torch.ones(self.net.style.numbers)
        weights[-COLOURS:] = COLOUR_WEIGHT
        self._weights = (weights / weights.sum()).to(self.device)

    def from_file(self, path: Path) -> Checkpoint:
        """Read a content file, or the code file of a latent space with all that lies beside it."""
        read = sampled_checkpoint_of if part_of(path) == "code" else adain_checkpoint_of
        return read(path, self._vgg)

    def build(self) -> nn.Module:
        """Return the latent space, normalised by the paintings' vectors."""
        net = SampledStyles(self.config)
        net.style.measure(self.vectors.fitted)
        return net

    def weights(self) -> dict[str, Tensor]:
        """Return all weights, and the mean activations."""
        scales = {f"{SCALES}{i}": scale for i, scale in enumerate(self.scales)}
        return scales | super().weights()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Undo `weights`."""
        super().load_weights(without_scales(weights))

    def initialise(self, source: Checkpoint) -> None:
        """Take the network for any style, or go on from another run of sampled styles."""
        config = source.config
        if isinstance(config, VariationalConfig):
            self.load_weights(source.model)
        elif isinstance(config, AdainConfig | AnyCanvasConfig) and config.size == self.config.size:
            pair = self.net.pair
            pair.load_state_dict(fitting(without_scales(source.model), pair.state_dict()))
        else:
            raise TrainingError(
                f"Sampled styles cannot start from a {config.kind} network of the size "
                f"{config.size}.",
                "They are for the network for any style of the size fast.",
                "Use --init-from any.",
            )

    def dataset(self) -> Dataset[Any]:
        """Return triples of two photos and a painting, and nothing for steps without pictures."""
        config = self.config
        side, blind = config.crop + config.margin, config.vector_steps * config.batch
        return Triples(self.photos, self.paintings, side, config.seed, blind)

    def losses(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Distance of vectors and divergence; once pictures come, also what they look like."""
        spec, (source, target) = self.config.loss, self._draw(generator)
        mean, log_variance = self.net.style.encode(source)
        found = self.net.style.decode(self._sampled(mean, log_variance, generator))
        share = kl_weight(self.step, 0, self.config.kl_steps)
        terms = {
            "vector": self._vector_distance(found, target).mean(),
            "kl": kl_divergence(mean, log_variance).sum(dim=1).mean(),
        }
        if batch[0].numel():
            pictures = self._of_pictures(batch, generator)
            terms = {**pictures, **terms, "kl": (terms["kl"] + pictures["kl"]) / 2}
        weights = {
            "vector": spec.vector_weight,
            "kl": share * spec.kl_weight,
            "content": spec.content_weight,
            "style": spec.style_weight,
            "tv": spec.tv_weight,
            "disentangle": spec.disentangle_weight,
            "triplet": spec.triplet_weight,
        }
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return total, {name: term.detach() for name, term in terms.items()}

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw vectors that enter, and those that shall come out: two of (`vectors`, M).

        Paintings or mixtures of two; what enters is a glance or, where that is known, fitted.
        """
        known, count = self.vectors, self.config.vectors
        own, other = torch.randint(len(known.names), (2, count), generator=generator)
        fitted = known.known.nonzero()[:, 0]
        if len(fitted):
            better = fitted[torch.randint(len(fitted), (count,), generator=generator)]
            own = torch.where(torch.rand(count, generator=generator) < FITTED, better, own)
        part, shown, mixed = torch.rand(3, count, 1, generator=generator)
        part = torch.where(mixed < MIXED, part, torch.ones(()))
        target = part * known.fitted[own] + (1 - part) * known.fitted[other]
        glance = part * known.glances[own] + (1 - part) * known.glances[other]
        source = torch.where(shown < 0.5, glance, target)
        return source.to(self.device), target.to(self.device)

    def _sampled(self, mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        return sample(mean, log_variance, noise)

    def _vector_distance(self, found: Tensor, target: Tensor) -> Tensor:
        """Return the weighted squared distance of normalised vectors (N, M): (N,)."""
        apart = self.net.style.normalised(found) - self.net.style.normalised(target)
        return (apart.square() * self._weights).sum(dim=1)

    def _of_pictures(self, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the terms of two photos each, painted like a sample around a painting."""
        first, second, painting = (
            x.to(self.device, memory_format=torch.channels_last) for x in batch
        )
        photos = torch.cat([first, second])
        window = self.window(generator)
        with self.autocast(), torch.no_grad():
            goal = self.loss_network(window(painting))
            seen = self.loss_network(window(photos), until=DEEPEST)[DEEPEST]
            grams = {layer: gram_matrix(goal[layer]) for layer in STYLE_LAYERS}
            glance = self.glance(window(painting), goal)
        mean, log_variance = self.net.style.encode(glance)
        vector = self.net.style.decode(self._sampled(mean, log_variance, generator))
        # The colours are learnt from the vectors: pixels would trade them for texture.
        vector = torch.cat([vector[:, :-COLOURS], vector[:, -COLOURS:].detach()], dim=1)
        with self.autocast():
            raw = self.net.pair.net(photos, vector.repeat(2, 1), torch.ones(len(photos)).to(vector))
            shown = window(raw.float().clamp(-1, 1))
            found = self.loss_network(shown)
            again = self.glance(shown, found)
        codes = self.net.style.encode(again)[0].chunk(2)
        other = self._others(len(mean), generator)
        triplets = [fixpoint_triplet_loss(c, mean, other, self.config.loss.margin) for c in codes]
        return {
            "content": content_distance(found[DEEPEST], seen).mean(),
            "style": style_term(found, grams).mean(),
            "tv": total_variation(shown).mean(),
            "kl": kl_divergence(mean, log_variance).sum(dim=1).mean(),
            "disentangle": disentanglement_loss(codes[0], codes[1], mean).mean(),
            "triplet": torch.stack(triplets).mean(),
        }

    def glance(self, picture: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """Return the vector of pictures (N, 3, H, W), of which VGG-19 sees `features`: (N, M)."""
        known = painting_statistics(picture, dict(features)).float()
        with torch.autocast(self.device.type, enabled=False):
            vector: Tensor = self.net.pair.head(known)
        return vector

    def _others(self, count: int, generator: torch.Generator) -> Tensor:
        """Return the codes of `count` paintings, drawn from all: (count, L)."""
        drawn = torch.randint(len(self.vectors.names), (count,), generator=generator)
        with torch.no_grad():
            return self.net.style.encode(self.vectors.glances[drawn].to(self.device))[0]

    def preview(self, photo: Tensor) -> dict[str, Tensor]:
        """Paint (1, 3, H, W) like the first painting, its code, and samples of the prior."""
        style, generator = self.net.style, torch.Generator().manual_seed(self.config.seed)
        own = self.vectors.fitted[:1].to(self.device)
        with torch.no_grad():
            codes = torch.randn(PREVIEWS, style.latent, generator=generator).to(self.device)
            vectors = torch.cat([own, style.decode(style.encode(own)[0]), style.decode(codes)])
            photos = photo.to(self.device).repeat(len(vectors), 1, 1, 1)
            painted = self.net.pair.net(photos, vectors, torch.ones(len(vectors)).to(photos))
        names = ["own", "decoded", *(f"sample-{k}" for k in range(PREVIEWS))]
        return {
            name: ((x.float().cpu() + 1) / 2).clamp(0, 1)
            for name, x in zip(names, painted, strict=True)
        }


def style_term(features: Mapping[str, Tensor], grams: Mapping[str, Tensor]) -> Tensor:
    """Return the distance of Gram matrices, mean over layers: (K N,) of K pictures in each style.

    `features` are those of K N pictures, N styles in turn, `grams` (N, C, C) those of the styles.
    """
    parts = []
    for layer, goal in grams.items():
        own = gram_matrix(features[layer])
        parts.append(style_distance(own, goal.repeat(len(own) // len(goal), 1, 1)))
    return torch.stack(parts).mean(dim=0)
