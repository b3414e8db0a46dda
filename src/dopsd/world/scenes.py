"""The procedural world: 64x64 RGB scenes with nine named attributes and free variation that no caption mentions.

A scene is a row of attribute indices and a row of free numbers; `render` is a pure function of both, written with
signed distances in torch so that it draws a batch on any device. Background colours have names of their own (sand,
navy, ...), so that a word names one thing only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dopsd.world.outside import HELD_OUT

SIZE = 64
SUPERSAMPLING = 2
FREE = 12  # free numbers per scene: jitter (2), rotation, phases (4), angles (2), lightness (2), grain

PALETTE = {
    "red": (0.86, 0.12, 0.12),
    "orange": (0.98, 0.52, 0.05),
    "yellow": (0.98, 0.90, 0.10),
    "green": (0.10, 0.65, 0.20),
    "cyan": (0.05, 0.80, 0.85),
    "blue": (0.10, 0.25, 0.92),
    "purple": (0.55, 0.10, 0.80),
    "pink": (1.00, 0.45, 0.75),
    "white": (0.97, 0.97, 0.97),
    "black": (0.06, 0.06, 0.06),
}
BACKGROUND_PALETTE = {
    "sand": (0.85, 0.74, 0.52),
    "mint": (0.68, 0.93, 0.78),
    "navy": (0.10, 0.14, 0.36),
    "grey": (0.52, 0.52, 0.54),
    "rose": (0.90, 0.62, 0.64),
    "olive": (0.42, 0.44, 0.16),
    "sky": (0.58, 0.80, 0.98),
    "plum": (0.40, 0.16, 0.34),
    "cream": (0.99, 0.95, 0.82),
    "rust": (0.58, 0.26, 0.12),
}
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "shape": ("disc", "square", "triangle", "star", "cross", "ring", "heart", "moon", "bar", "hourglass"),
    "colour": tuple(PALETTE),
    "texture": ("plain", "striped", "dotted", "checkered"),
    "outline": ("unlined", "inked", "haloed"),
    "size": ("small", "medium", "large"),
    "position": ("centre", "left", "right", "top", "bottom"),
    "background": ("flat", "gradient", "banded", "spotted"),
    "background_colour": tuple(BACKGROUND_PALETTE),
    "style": ("photo", "sketch", "neon", "mosaic", "watercolour", "woodcut"),
}
NAMES = tuple(ATTRIBUTES)
STYLE_SHARES = (0.42, 0.14, 0.14, 0.14, 0.14, 0.02)  # woodcut is the rare one: the domain of later full fine-tuning
HIDDEN = {  # what a style makes invisible
    "sketch": ("colour", "outline", "background", "background_colour"),
    "neon": ("texture", "outline", "background", "background_colour"),
    "mosaic": ("texture", "outline"),
    "watercolour": ("outline",),
    "woodcut": ("colour", "texture", "outline", "background", "background_colour"),
}
RADIUS = {"small": 14.0, "medium": 18.5, "large": 23.5}  # pixels
OFFSET = 10.0  # pixels from the centre for left, right, top and bottom
JITTER = 3.5  # pixels
TURN = 20.0  # degrees, to either side


@dataclass
class Scenes:
    """attributes: LongTensor (n, 9), indices in the order of `ATTRIBUTES`; free: FloatTensor (n, FREE) in [0, 1)."""

    attributes: Tensor
    free: Tensor

    def __len__(self) -> int:
        return len(self.attributes)

    def __getitem__(self, index) -> Scenes:
        return Scenes(self.attributes[index], self.free[index])

    def words(self) -> list[dict[str, str]]:
        """One dict of attribute names to words for each scene."""
        return [{a: ATTRIBUTES[a][i] for a, i in zip(NAMES, row, strict=True)} for row in self.attributes.tolist()]

    def to(self, device) -> Scenes:
        return Scenes(self.attributes.to(device), self.free.to(device))


def index(attribute: str, word: str) -> int:
    """The index of a word among an attribute's values; ValueError when the world does not have it."""
    return ATTRIBUTES[attribute].index(word)


def holds(attributes: Tensor, fixed: dict[str, str]) -> Tensor:
    """Which scenes have every given attribute: attributes (n, 9) -> BoolTensor (n,)."""
    out = torch.ones(len(attributes), dtype=torch.bool, device=attributes.device)
    for a, word in fixed.items():
        out &= attributes[:, NAMES.index(a)] == index(a, word)
    return out


def held_out(attributes: Tensor) -> Tensor:
    """Which scenes show a concept's or the domain's combination and so must not be seen in pretraining: (n, 9) -> (n,)."""
    return torch.stack([holds(attributes, c.attributes) for c in HELD_OUT]).any(0)


def sample_scenes(n: int, generator: torch.Generator, fixed: dict[str, str] | None = None, concepts=False) -> Scenes:
    """Draw n scenes on the CPU. `fixed` sets attributes; held-out combinations are redrawn unless `concepts`."""
    columns = []
    for a in NAMES:
        weights = torch.tensor(STYLE_SHARES) if a == "style" else torch.ones(len(ATTRIBUTES[a]))
        columns.append(torch.multinomial(weights, n, replacement=True, generator=generator))
    attributes = torch.stack(columns, 1)
    for a, word in (fixed or {}).items():
        attributes[:, NAMES.index(a)] = index(a, word)
    free = torch.rand(n, FREE, generator=generator)
    bad = held_out(attributes)
    if not concepts and bad.any():
        again = sample_scenes(int(bad.sum()), generator, fixed, concepts)
        attributes[bad], free[bad] = again.attributes, again.free
    return Scenes(attributes, free)


def visible(attributes: Tensor) -> Tensor:
    """Which attributes can be seen, given the style: (n, 9) -> BoolTensor (n, 9)."""
    table = torch.ones(len(ATTRIBUTES["style"]), len(NAMES), dtype=torch.bool, device=attributes.device)
    for style, hidden in HIDDEN.items():
        for a in hidden:
            table[index("style", style), NAMES.index(a)] = False
    return table[attributes[:, NAMES.index("style")]]


def _distance(shape: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Signed distance (about; negative inside, unit radius) of every shape, then the wanted one: (n, H, W)."""
    r = torch.hypot(x, y)
    ax, ay = x.abs(), y.abs()
    theta = torch.atan2(x, -y)
    wave = torch.acos((torch.cos(5 * theta)).clamp(-1, 1)) / math.pi  # 0 at a star's tips, 1 in its notches
    star = r - (1.10 - 0.62 * wave)
    heart_y = -y * 1.05 + 0.12
    heart = ((x * 1.15) ** 2 + (heart_y - (ax * 1.15) ** 0.75 * 0.62) ** 2).sqrt() - 0.86
    distances = [
        r - 0.95,
        torch.maximum(ax, ay) - 0.82,
        torch.maximum(0.866 * ax - 0.5 * y - 0.52, y - 0.66),
        star * 0.75,
        torch.minimum(torch.maximum(ax - 0.98, ay - 0.38), torch.maximum(ay - 0.98, ax - 0.38)),
        (r - 0.67).abs() - 0.31,
        heart,
        torch.maximum(r - 0.98, 0.72 - torch.hypot(x - 0.62, y)),
        torch.maximum(ax - 1.02, ay - 0.46),
        torch.maximum((ax - 0.86 * ay - 0.20) * 0.75, ay - 0.92),
    ]
    out = torch.zeros_like(x)
    for i, d in enumerate(distances):
        out = torch.where(shape == i, d, out)
    return out


def _pattern(kind: Tensor, x: Tensor, y: Tensor, wavelength: float, angle: Tensor, phase: Tensor, order) -> Tensor:
    """A soft two-level pattern in [0, 1] over pixels: `order` says which kinds are stripes, dots and checks."""
    u = (x * torch.cos(angle) + y * torch.sin(angle)) * (2 * math.pi / wavelength) + phase
    v = (y * torch.cos(angle) - x * torch.sin(angle)) * (2 * math.pi / wavelength) + phase
    stripes = torch.sigmoid(7 * torch.sin(u))
    dots = torch.sigmoid(7 * (torch.sin(u) + torch.sin(v) - 0.6))
    checks = torch.sigmoid(12 * torch.sin(u) * torch.sin(v))
    out = torch.zeros_like(x)
    for value, picture in zip(order, (stripes, dots, checks), strict=True):
        if value is not None:
            out = torch.where(kind == value, picture, out)
    return out


def _blur(image: Tensor, sigma: float) -> Tensor:
    radius = max(1, round(2.5 * sigma))
    k = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=image.device) / sigma) ** 2)
    k = (k / k.sum()).repeat(3, 1)
    image = F.pad(image, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(image, k[:, None, :, None], groups=3), k[:, None, None, :], groups=3)


def _edges(image: Tensor) -> Tensor:
    """Gradient magnitude of each channel's brightness, the largest over channels: (n, 3, H, W) -> (n, 1, H, W)."""
    p = F.pad(image, (1, 1, 1, 1), mode="replicate")
    gx = p[:, :, 1:-1, 2:] - p[:, :, 1:-1, :-2]
    gy = p[:, :, 2:, 1:-1] - p[:, :, :-2, 1:-1]
    return torch.hypot(gx, gy).amax(1, keepdim=True)


def _styled(image: Tensor, style: Tensor, mask: Tensor, paint: Tensor) -> Tensor:
    """Apply each scene's style to the plain picture. image, paint (n, 3, H, W) in [0, 1]; mask (n, 1, H, W)."""
    n = len(image)
    grey = image.mean(1, keepdim=True)
    edges = _edges(image)
    sketch = (0.96 - 1.1 * edges.clamp(0, 0.8) - 0.25 * mask * (1 - grey)).clamp(0, 1).expand(n, 3, -1, -1)
    rim = _edges(mask.expand(n, 3, -1, -1)).clamp(0, 1)
    glow = _blur(rim.expand(n, 3, -1, -1), 2.5) * 1.6
    bright = paint * 0.75 + 0.25
    neon = (0.03 + bright * (rim * 1.1 + glow) + 0.10 * mask * bright).clamp(0, 1)
    tiles = F.interpolate(F.avg_pool2d(image, 4), scale_factor=4.0)
    line = torch.arange(image.shape[-1], device=image.device) % 4 == 3
    gaps = torch.where(line[:, None] | line[None, :], 0.62, 1.0)
    mosaic = tiles * gaps
    soft = _blur(image, 1.0)
    watercolour = (0.72 * soft + 0.28 - 0.35 * _edges(soft)).clamp(0, 1)
    rows = torch.arange(image.shape[-2], device=image.device)
    hatch = 0.5 + 0.5 * torch.sin(rows * (2 * math.pi / 4))[None, None, :, None]
    cut = torch.sigmoid(12 * (0.45 + 0.5 * (1 - mask) - hatch * 0.9))
    woodcut = torch.cat([cut * 0.92 + 0.04, cut * 0.84 + 0.04, cut * 0.66 + 0.04], 1)
    out = image
    for name, picture in (
        ("sketch", sketch),
        ("neon", neon),
        ("mosaic", mosaic),
        ("watercolour", watercolour),
        ("woodcut", woodcut),
    ):
        out = torch.where((style == index("style", name))[:, None, None, None], picture, out)
    return out


def render(scenes: Scenes) -> Tensor:
    """Draw scenes: -> FloatTensor (n, 3, 64, 64) in [-1, 1], on the scenes' device; deterministic."""
    a = {name: scenes.attributes[:, i] for i, name in enumerate(NAMES)}
    f = scenes.free.T[:, :, None, None]  # (FREE, n, 1, 1)
    device = scenes.free.device
    side = SIZE * SUPERSAMPLING
    grid = (torch.arange(side, device=device) + 0.5) / SUPERSAMPLING - SIZE / 2  # pixels from the centre
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    x, y = x[None].expand(len(scenes), -1, -1), y[None].expand(len(scenes), -1, -1)

    place = torch.tensor([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]], device=device) * OFFSET
    centre = place[a["position"]] + (scenes.free[:, :2] * 2 - 1) * JITTER
    radius = torch.tensor([RADIUS[s] for s in ATTRIBUTES["size"]], device=device)[a["size"]][:, None, None]
    angle = (f[2] * 2 - 1) * math.radians(TURN)
    dx, dy = x - centre[:, 0, None, None], y - centre[:, 1, None, None]
    px = (dx * torch.cos(angle) + dy * torch.sin(angle)) / radius
    py = (dy * torch.cos(angle) - dx * torch.sin(angle)) / radius
    distance = _distance(a["shape"][:, None, None], px, py) * radius  # pixels
    inside = torch.sigmoid(-3 * distance)[:, None]
    rim = torch.sigmoid(3 * (2.2 - (distance + 1.0).abs() * 1.9))[:, None]

    def colour(palette, which, lightness):
        table = torch.tensor(list(palette.values()), device=device)
        return (table[which] * (0.88 + 0.16 * lightness[:, 0])).clamp(0, 1)[:, :, None, None]

    paint = colour(PALETTE, a["colour"], f[3])
    second = torch.where(paint.mean(1, keepdim=True) > 0.35, paint * 0.38, paint * 0.35 + 0.6)
    texture = _pattern(a["texture"][:, None, None], dx, dy, 11.0, f[4] * math.pi, f[5] * 2 * math.pi, order=(1, 2, 3))[
        :, None
    ]
    body = paint * (1 - texture) + second * texture
    ground = colour(BACKGROUND_PALETTE, a["background_colour"], f[6])
    pattern = _pattern(
        a["background"][:, None, None], x, y, 16.0, f[7] * math.pi, f[8] * 2 * math.pi, order=(2, 3, None)
    )[:, None]
    slope = f[9] * 2 * math.pi
    ramp = (0.5 + (x * torch.cos(slope) + y * torch.sin(slope)) / SIZE)[:, None].clamp(0, 1)
    ramp = torch.where((a["background"] == 1)[:, None, None, None], ramp, torch.zeros_like(ramp))
    dark = torch.where(ground.mean(1, keepdim=True) > 0.45, ground * 0.72, ground * 0.7 + 0.3)
    back = ground * (1 - pattern) + dark * pattern
    far = torch.where(ground.mean(1, keepdim=True) > 0.45, ground * 0.5, ground * 0.5 + 0.5)
    back = back * (1 - 0.9 * ramp) + far * 0.9 * ramp

    line = (a["outline"] == 1).float()[:, None, None, None] * 0.03 + (a["outline"] == 2).float()[
        :, None, None, None
    ] * 0.99
    image = back * (1 - inside) + body * inside
    outlined = (a["outline"] > 0)[:, None, None, None].float() * rim
    image = image * (1 - outlined) + line * outlined
    image = F.avg_pool2d(image, SUPERSAMPLING)
    mask = F.avg_pool2d(torch.maximum(inside, outlined), SUPERSAMPLING)
    return _styled(image, a["style"], mask, paint) * 2 - 1
