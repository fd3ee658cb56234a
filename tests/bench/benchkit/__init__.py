"""Parts of the benchmark: rig (processes), peers (who is measured), gauge (how), scenarios (what), report."""
