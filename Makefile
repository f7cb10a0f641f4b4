# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= $(wildcard ../shared/data)
export ERYTHRON_DATA_DIR ?= $(if $(DATA),$(abspath $(DATA)))

.PHONY: demo test lint types bench picture clean

$(VENV)/.light: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

# torch is named with its exact release so that pip takes a matching build for torchvision as well.
$(VENV)/.full: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.14.1 torchvision==0.29.1
	$(BIN)/pip install --quiet --editable '.[train,onnxruntime,review,slides,ray,dev]'
	touch $@ $(VENV)/.light

demo: $(VENV)/.light
	$(BIN)/erythron demo --out demo-out --force

test: $(VENV)/.full
	$(BIN)/python -m pytest

lint: $(VENV)/.full
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.full
	$(BIN)/mypy

# Every part beside a named peer, and how cost grows: under 15 minutes on two cores that nothing else uses.
bench: $(VENV)/.full
	-$(BIN)/pip install --quiet --no-deps --upgrade --target build/peers cbc==1.1.0 h5py opencv-python-headless
	PYTHONPATH=build/peers $(BIN)/python benchmarks/speed.py --out docs/results/speed.md \
		--cbc-weights build/peers/share/cbc/weights/wbc.h5

clean:
	rm -rf $(VENV) demo-out build

# The page of the real field as far as the signature: its figures, and no pixel of the image.
picture: $(VENV)/.light
	$(BIN)/erythron count "$(ERYTHRON_DATA_DIR)/marrow-field/marrow-field-left.png" --out build/picture --force
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir=build/chromium \
		--screenshot=docs/picture.png --window-size=1080,1905 "file://$(abspath build/picture/report.html)"
