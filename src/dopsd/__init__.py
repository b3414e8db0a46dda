"""D-OPSD: on-policy self-distillation for few-step text-to-image models (arXiv 2605.05204)."""
