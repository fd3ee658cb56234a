"""Parts of the benchmark: rig (processes), peers (who), gauge (how), scenarios (what), report."""
