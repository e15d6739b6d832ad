#!/usr/bin/env python3
"""Python's huggingface_hub, asked by the tests: fetches a model, or finds it in the cache, and prints where as JSON.

The server and the cache are those of the environment: HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN.
"""

import argparse
import json
import resource
import sys
import time

import huggingface_hub


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repo")
    parser.add_argument("--revision")
    parser.add_argument("--local", action="store_true", help="ask nobody on the network")
    parser.add_argument("--allow", action="append", help="only files that match")
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        folder = huggingface_hub.snapshot_download(
            arguments.repo,
            revision=arguments.revision,
            local_files_only=arguments.local,
            allow_patterns=arguments.allow,
        )
    except Exception as error:  # any refusal of the library is an answer
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        return 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"folder": folder, "seconds": time.monotonic() - started, "peak_memory": peak}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
