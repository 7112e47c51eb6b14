from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from titer.errors import InputError
from titer.recipe import (
    Generate,
    Ray,
    Recipe,
    Rl,
    Train,
    builtin_names,
    dump_recipe,
    load_recipe,
    parse_block,
    parse_recipe,
    parse_sampled,
)
from titer.recipe.schema import Block


@pytest.mark.parametrize("name", builtin_names())
def test_built_in_recipes_survive_a_round_trip(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    (tmp_path / "again.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "again.yaml") == recipe


def test_overrides_reach_into_blocks_and_make_them() -> None:
    recipe = load_recipe(
        "quickstart", ["train.learning_rate=1e-3", "train.lora.rank=4", "data.lab.problems.countdown3=7"]
    )
    assert recipe.train.learning_rate == 1e-3
    assert recipe.train.lora is not None and recipe.train.lora.rank == 4
    assert recipe.data.lab is not None and recipe.data.lab.problems["countdown3"] == 7


def test_settings_of_one_block() -> None:
    train = parse_block("train", ["epochs=3", "objective=p"])
    assert (train.epochs, train.objective) == (3, "p")


BAD = {
    "train.learnig_rate=1": r"field 'train.learnig_rate': unknown key, did you mean 'learning_rate'\?",
    "trian.epochs=1": r"field 'trian': unknown key, did you mean 'train'\?",
    "train.lora.rnk=4": r"field 'train.lora.rnk': unknown key, did you mean 'rank'\?",
    "train.epochs=many": r"field 'train.epochs': .* valid number.*got 'many'",
    "train.batch_size=2.5": r"field 'train.batch_size': .*integer",
    "train.warmup=2": r"field 'train.warmup': .*less than or equal to 1",
    "epochs": r"'epochs' is not key=value",
    "train.batch_size=true": r"field 'train.batch_size': .*integer, got True",
    'train.batch_size="8"': r"field 'train.batch_size': .*integer, got '8'",
    "train.epochs=true": r"field 'train.epochs': .*number, got True",
    'train.packing="yes"': r"field 'train.packing': .*boolean",
    "train.learning_rate=.inf": r"field 'train.learning_rate': .*finite",
    "evaluate.temperature=.nan": r"field 'evaluate.temperature': .*finite",
    "train.epochs=1e400": r"field 'train.epochs': .*finite",
    "train.betas=[1.5, 2]": r"field 'train.betas': .*less than 1, got 1.5",
    "train.betas=[0.9, 1]": r"field 'train.betas': .*less than 1",
    "train.betas=0.9": r"field 'train.betas': .*list, got 0.9",
    "train.lora={rank": r"'train.lora={rank': what follows = is not YAML",
    "seed=2024-13-45": r"'seed=2024-13-45': what follows = is not YAML",
    "seed=-1": r"field 'seed': .*greater than or equal to 0",
    "train={lora: {}, optimizer: muon}": r"field 'train': lora and optimizer=muon exclude each other",
    "train.lora.targets=[q_proj, 5]": r"field 'train.lora.targets': .*string",
    "data.suites.s.axes=general": r"field 'data.suites.s.axes': unknown key, did you mean 'axis'\?; .*problems, axis",
    "data.suites.s=s.jsonl": r"'data.suites.s': keys and values belong here, got 's.jsonl'; it needs problems; ",
    "train.lora=8": r"'train.lora': keys and values belong here, got 8; known here: rank",
    "name=../x": r"field 'name': not a folder's name",
    "name=a/b": r"field 'name': not a folder's name",
    "name=.hidden": r"field 'name': not a folder's name",
    'name=""': r"field 'name': not a folder's name",
}


@pytest.mark.parametrize("override", BAD)
def test_mistakes_are_one_line_with_the_key_and_a_remedy(override: str) -> None:
    with pytest.raises(InputError, match=BAD[override]) as caught:
        load_recipe("quickstart", [override])
    assert "\n" not in str(caught.value)


def test_lists_whole_numbers_and_1e_3_are_taken_for_what_they_mean(tmp_path: Path) -> None:
    """YAML has no tuples, an epoch count needs no point, and YAML 1.1 takes 1e-3 for text."""
    file = tmp_path / "r.yaml"
    file.write_text("model: lab\ndata: {traces: t.jsonl}\ntrain: {learning_rate: 1e-3, epochs: 2, betas: [0, 0.95]}\n")
    recipe = load_recipe(file, ["train.lora.targets=[q_proj, v_proj]", "data.gym.tasks.chain_sum={x: [a], y: 2E+1}"])
    assert (recipe.train.learning_rate, recipe.train.epochs, recipe.train.betas) == (1e-3, 2.0, (0.0, 0.95))
    assert recipe.train.lora is not None and recipe.train.lora.targets == ("q_proj", "v_proj")
    assert recipe.data.gym is not None and recipe.data.gym.tasks["chain_sum"] == {"x": ("a",), "y": 20.0}


def test_a_number_of_many_digits_is_read_in_time_linear_in_them() -> None:
    """A quadratic pattern took 20 s for 120,000 digits that no exponent follows; this would take it an hour."""
    digits = "9" * 2_000_000
    assert load_recipe("quickstart", [f"name={digits} long"]).name == f"{digits} long"
    assert load_recipe("quickstart", ["train.learning_rate=1_0.0_1e-4"]).train.learning_rate == pytest.approx(1.001e-3)


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'quickstart'"):
        load_recipe("quickstrat")


@pytest.mark.parametrize(
    ("text", "fault"), [("model: [", "not YAML"), ("- 1", "not a mapping"), ("model: lab", "'data'")]
)
def test_broken_files(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(InputError, match=fault):
        load_recipe(tmp_path / "bad.yaml")
    with pytest.raises(InputError, match="no such file"):
        load_recipe(tmp_path / "none.yaml")


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes("name: Größe".encode("latin-1"))
    with pytest.raises(InputError, match=r"bad\.yaml: not UTF-8"):
        load_recipe(tmp_path / "bad.yaml")


def blocks(block: type[Block]) -> set[type[Block]]:
    return {block}.union(*(blocks(sub) for sub in block.__subclasses__()))


def test_every_field_is_documented() -> None:
    for block in blocks(Block) - {Block}:
        for name, field in block.model_fields.items():
            assert field.description, f"{block.__name__}.{name}"


def test_recipes_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("quickstart").seed = 3  # type: ignore[misc]
    assert Recipe.model_config["extra"] == "forbid"


def test_a_verb_takes_what_samples_beside_its_own_settings() -> None:
    block, generate = parse_sampled("measure", ["samples=8", "generate.engine=ray", "generate.ray.workers=4"])
    assert block.samples == 8 and generate.engine == "ray" and generate.ray.workers == 4
    with pytest.raises(InputError, match="generate.engine"):
        parse_sampled("measure", ["generate.engine=magic"])


def test_a_key_that_comes_twice_is_a_mistake(tmp_path: Path) -> None:
    """YAML takes the last of two blocks, and the settings of the first would be lost unsaid."""
    path = tmp_path / "r.yaml"
    path.write_text("model: lab\ndata: {lab: {}}\ntrain:\n  epochs: 7\ntrain:\n  batch_size: 8\n")
    with pytest.raises(InputError, match=r"not YAML: the key 'train' comes twice, again in line 5"):
        load_recipe(path)
    path.write_text("model: {{ model }}\n")  # a template that nobody has filled in
    with pytest.raises(InputError, match="not YAML"):
        load_recipe(path)


@pytest.mark.parametrize("block", ["problems", "suites", "rehearsal"])
def test_less_than_nothing_to_make_is_refused(block: str) -> None:
    with pytest.raises(InputError, match="greater than or equal to 0"):
        load_recipe("sft", [f"data.lab={{{block}: {{countdown3: -5}}}}"])
    assert load_recipe("sft", [f"data.lab.{block}.countdown4=0"])  # one task left out


def test_what_does_not_change_the_outcome_is_known() -> None:
    assert "micro_tokens" not in Train().decisive() and "batch_size" in Train().decisive()
    assert Train(micro_tokens=1).decisive() == Train().decisive() and Train.harmless <= set(Train.model_fields)
    served = {"engine": "server", "servers": 2}
    assert Generate.model_validate(served).decisive() == Generate(engine="server").decisive()
    elsewhere = {"batch_size": 3, "vllm_python": "python", "ray": {"workers": 4, "address": "auto"}}
    assert Generate.model_validate(elsewhere).decisive() == Generate().decisive()
    assert Generate.harmless <= set(Generate.model_fields) and Ray.harmless <= set(Ray.model_fields)
    for decides in ({"serve": "vllm serve"}, {"vllm": {"dtype": "half"}}, {"ray": {"engine": "vllm"}}, {"chunk": 8}):
        assert Generate.model_validate(decides).decisive() != Generate().decisive()
    assert Rl(save_every=1).decisive() == Rl().decisive() and Rl.harmless <= set(Rl.model_fields)


def test_a_model_is_no_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sft").mkdir()  # what titer sft leaves hides no recipe of that name
    monkeypatch.chdir(tmp_path)
    assert load_recipe("sft").name == "sft"
    with pytest.raises(InputError, match=r"a model, where a recipe belongs; say: quickstart model="):
        load_recipe(tmp_path)


@pytest.mark.parametrize("setting", ["train.hours=1:30", "train.updates=0100"])
def test_numbers_of_another_base_are_no_numbers(setting: str) -> None:
    with pytest.raises(InputError, match="input should be a valid"):
        load_recipe("sft", [setting])
    assert load_recipe("sft", ["train.epochs=null", "train.updates=1_000"]).train.updates == 1000


def test_an_override_of_the_budget_replaces_that_of_the_recipe() -> None:
    quickstart = load_recipe("quickstart", ["train.epochs=3"]).train
    assert (quickstart.epochs, quickstart.updates, quickstart.repetition) == (3, None, None)
    sft = load_recipe("sft", ["train.updates=1000", "train.repetition=auto"]).train
    assert (sft.epochs, sft.updates, sft.repetition) == (1, 1000, "auto")
    assert load_recipe("quickstart", ["train.batch_size=4"]).train.updates == 250
    assert load_recipe("sft", ["train.updates=null"]).train.epochs == 3
    for both in (["train.epochs=3", "train.updates=2"], ["train.tokens=9", "train.hours=1"]):
        with pytest.raises(InputError, match="exclude each other"):
            load_recipe("sft", both)
    with pytest.raises(InputError, match="epochs and updates exclude each other"):
        parse_block("train", ["epochs=3", "updates=2"])


def test_a_recipe_that_is_written_out_can_be_read_again() -> None:
    for overrides in ([], ["train.epochs=3"], ["train.hours=1"]):
        whole = load_recipe("quickstart", overrides)
        assert parse_recipe(yaml.safe_load(dump_recipe(whole))) == whole


@pytest.mark.parametrize("name", ["1e3", "1.5e3", "1e-3", "1:30", "0100", "1_0", "5.", "yes", "null", "2026-01-01"])
def test_text_that_looks_like_a_number_stays_text(name: str, tmp_path: Path) -> None:
    recipe = load_recipe("quickstart", [f"name='{name}'"])
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["bridge.server=http://h:1", "bridge.rewriter=q"], "a server rewrites where kinds have rewrite"),
        (["critique.server=http://h:1", "critique.judge=q"], "a server judges where locators have judge"),
        (["measure.first=16", "measure.samples=4"], "first lies above samples"),
        (["generate.servers=4"], "servers are started with engine=server alone"),
        (["data.suites={../up: {problems: p.jsonl}}"], "not a folder's name"),
        (["data.suites={a/b: {problems: p.jsonl}}"], "not a folder's name"),
    ],
)
def test_settings_without_a_use_and_names_of_no_folder_are_refused(settings: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_recipe("quickstart", settings)
