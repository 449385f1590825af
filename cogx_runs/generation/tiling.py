"""Tiles in which a VAE decodes, so that they add up to the size that is asked for.

diffusers cuts latents into tiles, each `stride` after the one before, and keeps `kept` pixels of each. It rounds both
by themselves: only where `kept` is `stride` times the VAE's scale do the pixels add up.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from diffusers import AutoencoderKLCogVideoX

OVERLAP_HEIGHT, OVERLAP_WIDTH = 1 / 6, 1 / 5
"""Share of a tile that overlaps with the next one, as `AutoencoderKLCogVideoX` sets it."""


@dataclass(frozen=True)
class Tiling:
    """Tiles along one side of the latents, in the numbers that diffusers takes."""

    pixels: int
    """Side of a tile, decoded."""
    latents: int
    """Side of a tile."""
    overlap: float
    """Share of a tile's side."""

    @property
    def stride(self) -> int:
        """Latents from the beginning of one tile to that of the next, as diffusers rounds it."""
        return int(self.latents * (1 - self.overlap))

    @property
    def kept(self) -> int:
        """Pixels that are kept of a tile at most, likewise."""
        return self.pixels - int(self.pixels * self.overlap)

    def is_exact(self, side: int, scale: int) -> bool:
        """Checks whether `side` latents come back as `scale` times as many pixels, each in its place."""
        if self.stride < 1:
            return False
        return self.kept == self.stride * scale or (side <= self.stride and side * scale <= self.kept)


def exact_tiling(own: Tiling, side: int, scale: int) -> Tiling:
    """Finds the tiles nearest to a VAE's own that give `side` latents back in full: its own where they do.

    A tile is never larger than the VAE's own, so that it takes no more memory.
    """
    if own.is_exact(side, scale):
        return own
    found = next((tiling for tiling in _nearest(own, scale) if tiling.is_exact(side, scale)), None)
    assert found is not None, "tiles that do not overlap are exact"
    return found


def _nearest(own: Tiling, scale: int) -> Iterator[Tiling]:
    for latents in range(max(own.latents, 1), 0, -1):
        for shared in sorted(range(latents), key=lambda shared: abs(shared - latents * own.overlap)):
            yield Tiling(latents * scale, latents, shared / latents)


def set_tiling(vae: AutoencoderKLCogVideoX, latent_height: int, latent_width: int) -> None:
    """Has a VAE decode latents of this size in tiles that add up to it, whatever it was set to before."""
    scale = 2 ** (len(vae.config.block_out_channels) - 1)
    height = _own(vae.config.sample_height, OVERLAP_HEIGHT, scale)
    width = _own(vae.config.sample_width, OVERLAP_WIDTH, scale)
    if latent_height > height.latents or latent_width > width.latents:  # else the VAE decodes them in one piece
        height, width = exact_tiling(height, latent_height, scale), exact_tiling(width, latent_width, scale)
    vae.enable_tiling()
    vae.tile_sample_min_height, vae.tile_sample_min_width = height.pixels, width.pixels
    vae.tile_latent_min_height, vae.tile_latent_min_width = height.latents, width.latents
    vae.tile_overlap_factor_height, vae.tile_overlap_factor_width = height.overlap, width.overlap


def _own(sample: int, overlap: float, scale: int) -> Tiling:
    """Tiles of half the side that the VAE was made for, as `AutoencoderKLCogVideoX` sets them."""
    return Tiling(sample // 2, int(sample // 2 / scale), overlap)
