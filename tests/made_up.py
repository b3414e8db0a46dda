"""Made-up scores of a small grid, as `report.cells.flat` gives them."""

METHODS, TRAINED, CONCEPTS, SEEDS = (
    ["untouched", "described", "base", "sft", "dopsd"],
    ["sft", "dopsd"],
    ["beacon", "fresco"],
    [0, 1],
)
FEW, MANY = 4, 32
SCENES = ("concept_fidelity", "clip_i", "adherence", "style", "blur_read", "contrast", "copying", "diversity")
KEPT = ("retention_frechet", "retention_kid", "retention_adherence", "retention_contrast", "leakage")
BINDING = ("nameless_fidelity", "binding")
QUALITY = ("quality_frechet", "quality_adherence", "quality_contrast")


def made_up(method: str, seed: int) -> dict[int, dict[str, float]]:
    """sft scores .5 + seed / 10 on everything, dopsd .2 more, the untouched ones .1; more at later steps."""
    level = {"sft": 0.5, "dopsd": 0.7}.get(method, 0.1) + seed / 10

    def at(step: int, nfe: list[int]) -> dict[str, float]:
        row = dict.fromkeys(SCENES, level + step / 1000)
        row |= {f"{k}@{n}": level + n / 1000 for n in nfe for k in (*KEPT, *QUALITY)}
        row |= {"nameless_fidelity": 0.0, "binding": level} if step in (0, 40) else {}
        return row | {"few_step_contrast": level, "few_step_blur_read": level}

    last = [FEW, MANY, *([1] if seed == 0 else [])]
    return {0: at(0, last)} if method not in TRAINED else {20: at(20, [FEW]), 40: at(40, last)}


def cells_of(methods=METHODS, concepts=CONCEPTS, seeds=SEEDS):
    """As `cells.flat` gives them."""
    return {(m, c, s): made_up(m, s) for m in methods for c in concepts for s in seeds}


NUMBER = {"value": 0.5, "low": 0.4, "high": 0.6, "n_units": 12}
CONTROL = {"row": "base", "must": "fail", **NUMBER, "did": True, "why": "all of it lies short of the bar"}


def record(name="x", **changes):
    """A claim of claims.json."""
    known = {"id": name, "family": "comparison", "claim": f"claim {name}", "paper": "Table 1", "score": "contrast_kept"}
    known |= {"of": "method", "method": "dopsd", "baseline": "sft", "at": "matched", **NUMBER}
    known |= {
        "by_seed": {"0": 0.45, "1": 0.55},
        "bar": 0.2,
        "direction": ">=",
        "p": 0.01,
        "p_holm": 0.02,
        "verdict": "holds",
    }
    known |= {"seen": "no", "smallest": None, "against": f"not {name}", "changes": []}
    return known | {"claims_commit": "0123456789abcdef", "claims_date": "2026-01-02T03:04:05+00:00"} | changes
