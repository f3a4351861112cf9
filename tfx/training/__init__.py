"""What the Trainer needs: optimizers, strategy, checkpoints, callbacks, export."""
