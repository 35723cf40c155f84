"""Training of linear transforms, Li et al. 2018: `rtstyle train-adain --transform linear`.

The loss is as published, in relative distances: content at relu4_1, Gram matrices at relu1_1, 2_1,
3_1 and 4_1. Pictures are painted at full strength, one painting each. Of `paper`, the first steps
see features only, and learn what whitening and colouring (Li et al. 2017) makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from rtstyle.errors import TrainingError
from rtstyle_export.data import read_picture, to_tensor
from rtstyle_export.maths.functional import (
    content_distance,
    gram_matrix,
    lattice,
    out_of_range,
    style_distance,
    total_variation,
)
from rtstyle_export.networks.adain_fast import fitting
from rtstyle_export.networks.encoder import STYLE_LAYERS
from rtstyle_export.networks.linear import (
    LAYERS,
    FastLinear,
    LinearPair,
    PaperLinear,
    centred,
    principal,
    whitened_and_coloured,
)
from rtstyle_export.runs.adain_config import AnyCanvasConfig, LinearConfig
from rtstyle_export.runs.checkpoint import Checkpoint, without_scales
from rtstyle_export.runs.config import WctConfig
from rtstyle_export.train.adain import PREVIEWS, AdainTrainer
from rtstyle_export.train.wct import decoder_of


class LinearTrainer(AdainTrainer):
    """A run of `rtstyle train-adain --transform linear`, on folders of photos and paintings.

    `paper` starts from WCT's decoder of the level, `fast` from its network for AdaIN; both stay as
    they are.
    """

    config: LinearConfig
    _bank: tuple[list[Tensor], list[Tensor]] | None = None

    def build(self) -> nn.Module:
        """Return the network, of which the transform is trained."""
        return LinearPair(self._encoder(self.scales), self.config.size, self.config.layer)

    def initialise(self, source: Checkpoint) -> None:
        """Start from a transform of the same form, or from what it is put into."""
        config, pair = source.config, self.pair
        if isinstance(config, LinearConfig):
            if (config.size, config.layer) != (self.config.size, self.config.layer):
                raise _unlike(self.config)
            self.load_weights(source.model)
        elif self.config.size == "fast":
            if config.kind not in ("adain", AnyCanvasConfig.kind) or config.size != "fast":
                raise _unlike(self.config)
            self._put_into(without_scales(source.model))
        elif isinstance(config, WctConfig) and config.level == LAYERS[self.config.layer]:
            assert not isinstance(pair.net, FastLinear)
            pair.net.decoder.load_state_dict(decoder_of(source).state_dict())
            photos, paintings = self.bank()
            pair.net.transform.begin_with(principal([*photos, *paintings]))
        else:
            raise _unlike(self.config)

    def _put_into(self, weights: dict[str, Tensor]) -> None:
        """Take a trained `FastPair`, whose keys are those of the pair but for the transform."""
        known = fitting(weights, self.net.state_dict())
        missing, unknown = self.net.load_state_dict(known, strict=False)
        if unknown or any(".transform." not in key for key in missing):
            raise TrainingError("The checkpoint does not fit the network.")

    def bank(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return features (1, C, h, w) of some photos, and of as many paintings, to learn from."""
        if self._bank is None:
            config, crops = self.config, self.dataset()
            encoder = self._encoder(self.scales).to(self.device)
            rows = []
            for number in range(config.scaled_on):
                pair = (x[None].to(self.device) for x in crops[number])
                with torch.no_grad(), self.autocast():
                    rows.append([encoder(x)[config.layer].float() for x in pair])
            self._bank = [row[0] for row in rows], [row[1] for row in rows]
        return self._bank

    def batches(self) -> Iterator[Any]:
        """Yield nothing for steps on features, then pairs of a photo and a painting."""
        if self.config.size == "paper":
            while self.step < min(self.config.feature_steps, self.config.steps):
                yield None
        yield from super().batches()

    def _of_features(self, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        net = self.pair.net
        assert isinstance(net, PaperLinear)
        photos, paintings = self.bank()
        picks = torch.randint(len(photos), (2, 4), generator=generator).tolist()
        content, style = (
            torch.cat([found[k] for k in row])
            for found, row in zip((photos, paintings), picks, strict=True)
        )
        with torch.no_grad():
            small = (net.transform.compress(centred(x)[0]) for x in (content, style))
            wanted = whitened_and_coloured(*small)
        with self.autocast():
            found = net.transform.moved(content, net.transform.of_painting(style))
        distance = content_distance(found, wanted)
        return distance.mean(), {"feature": distance.detach().mean()}

    @property
    def pair(self) -> LinearPair:
        """What is trained."""
        assert isinstance(self.net, LinearPair)
        return self.net

    def losses(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Perceptual loss of a photo and a painting each; of features where there are none."""
        if batch is None:
            return self._of_features(generator)
        loss, vgg = self.config.loss, self.loss.vgg
        photo, painting = (x.to(self.device, memory_format=torch.channels_last) for x in batch)
        window = self.window(generator)
        with self.autocast():
            with torch.no_grad():
                wanted = vgg(window(photo))[STYLE_LAYERS[-1]]
                features = vgg(painting)
            one = torch.ones(len(photo), device=self.device)
            raw = self.model(photo, painting, features, one).float()
            found = vgg(window(raw.clamp(-1, 1)))
            style = [
                style_distance(gram_matrix(found[k]), gram_matrix(features[k]))
                for k in STYLE_LAYERS
            ]
            terms = {
                "content": content_distance(found[STYLE_LAYERS[-1]], wanted),
                "style": torch.stack(style).mean(dim=0),
            }
        terms |= {"tv": total_variation(raw), "lattice": lattice(window(raw))}
        total = (
            loss.content_weight * terms["content"]
            + loss.style_weight * terms["style"]
            + loss.tv_weight * terms["tv"]
            + loss.lattice_weight * terms["lattice"]
            + loss.range_weight * out_of_range(raw)
        ).mean()
        return total, {name: value.detach().mean() for name, value in terms.items()}

    def preview(self, photo: Tensor) -> dict[str, Tensor]:
        """Paint (1, 3, H, W) like the first few paintings: (3, H, W) in 0 to 1 by file name."""
        self.net.eval()
        found = {}
        with torch.no_grad():
            for path in self.paintings[:: max(1, len(self.paintings) // PREVIEWS)][:PREVIEWS]:
                painting = to_tensor(read_picture(path, 256)).to(self.device)
                one = torch.ones(1, device=self.device)
                shown = self.net(photo.to(self.device), painting, self.loss.vgg(painting), one)
                found[path.stem] = ((shown[0].float().cpu() + 1) / 2).clamp(0, 1)
        self.net.train()
        return found


def _unlike(config: LinearConfig) -> TrainingError:
    what = (
        "the built-in network for any style (any), a checkpoint of it"
        if config.size == "fast"
        else f"WCT's decoder of level {LAYERS[config.layer]}"
    )
    return TrainingError(
        f"A linear transform of the size {config.size} cannot start from this.",
        f"It takes {what}, or a linear transform of the same size and layer.",
        "Name one of these with --init-from.",
    )
