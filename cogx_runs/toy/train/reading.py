"""What the toy CLIP reads in frames: subject, place, colour and things, and the CLIP score."""

from __future__ import annotations

from pathlib import Path

import open_clip
import torch
from torch import nn

from cogx_runs.toy.train import phrases
from cogx_runs.toy.train.captions import things_words
from cogx_runs.toy.train.clip import MEAN, STD
from cogx_runs.toy.train.job import ATTRIBUTES, UNSAID
from cogx_runs.toy.train.world import COLOURS, MOST_THINGS, PLACE_NAMES, SUBJECT_NAMES, THINGS, Things


class Reader:
    """A CLIP folder as a zero-shot reader."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        name = f"local-dir:{folder.resolve()}"
        model, _, _ = open_clip.create_model_and_transforms(name)
        self._model: nn.Module = model.to(device).float().eval()
        self._tokenizer = open_clip.get_tokenizer(name)
        self._device = device
        self._subjects = self._classes([phrases.PLAIN[s] for s in SUBJECT_NAMES])
        self._places = self._classes([phrases.PLACE[p] for p in PLACE_NAMES])
        things = (Things(kind, c, n + 1) for kind in THINGS for c in COLOURS for n in range(MOST_THINGS))
        self._things = self._classes([(f"{things_words(t, t.colour)}.",) for t in things])
        self._coloured = self._classes(
            [
                tuple(text.replace("{c}", colour) for text in phrases.WITH_COLOUR[subject][:3])
                for subject in SUBJECT_NAMES
                for colour in COLOURS
            ]
        )

    @torch.no_grad()
    def texts(self, texts: list[str]) -> torch.Tensor:
        """Encodes texts to unit features, (N, D)."""
        tokens = self._tokenizer(texts).to(self._device)
        features: torch.Tensor = self._model.encode_text(tokens, normalize=True)  # type: ignore[operator]
        return features

    @torch.no_grad()
    def images(self, frames: torch.Tensor, batch: int = 1024) -> torch.Tensor:
        """Encodes uint8 frames (N, 3, 64, 64) to unit features, (N, D)."""
        parts = []
        for i in range(0, len(frames), batch):
            pictures = (frames[i : i + batch].to(self._device).float() / 255 - MEAN) / STD
            parts.append(self._model.encode_image(pictures, normalize=True))  # type: ignore[operator]
        return torch.cat(parts)

    def _classes(self, wordings: list[tuple[str, ...]]) -> torch.Tensor:
        means = [self.texts(list(options)).mean(0) for options in wordings]
        return nn.functional.normalize(torch.stack(means), dim=1)

    def scores(self, videos: torch.Tensor, texts: list[str]) -> list[float]:
        """Computes the CLIP score of each video with its text: 100 x cosine, mean over the frames.

        `videos` is uint8 (N, T, 3, 64, 64); higher is better.
        """
        features = self.images(videos.flatten(0, 1)).view(len(videos), videos.shape[1], -1)
        cosines = (features * self.texts(texts)[:, None]).sum(2).mean(1)
        return [100 * c for c in cosines.tolist()]

    def read(self, videos: torch.Tensor) -> torch.Tensor:
        """Reads the indices of `ATTRIBUTES` in each video (N, T, 3, 64, 64): (N, 6).

        Colour is read together with the subject; things, their colour and count together, and always some.
        """
        features = self.images(videos.flatten(0, 1)).view(len(videos), videos.shape[1], -1)
        features = features.mean(1)
        things = (features @ self._things.T).argmax(1)
        return torch.stack(
            [
                (features @ self._subjects.T).argmax(1),
                (features @ self._places.T).argmax(1),
                (features @ self._coloured.T).argmax(1) % len(COLOURS),
                things // (len(COLOURS) * MOST_THINGS),
                things // MOST_THINGS % len(COLOURS),
                things % MOST_THINGS,
            ],
            dim=1,
        ).cpu()

    def accuracy(self, videos: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
        """Measures the shares read rightly of videos (N, T, 3, 64, 64), truth (N, 6), by attribute.

        `UNSAID` is left out, and an attribute that is said of no video.
        """
        truth = truth.cpu()
        right, counted = self.read(videos) == truth, truth != UNSAID
        shares = (right & counted).sum(0) / counted.sum(0).clamp_min(1)
        named = zip(ATTRIBUTES, shares.tolist(), counted.any(0).tolist(), strict=True)
        return {name: round(share, 4) for name, share, said in named if said}
