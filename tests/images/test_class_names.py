import numpy as np
import pytest
from torchvision_import import import_torchvision

from keras_effnets.images.class_names import Prediction, decode_predictions, imagenet_classes


def test_classes_are_1000_in_wordnet_order():
    classes = imagenet_classes()
    ids = [wordnet_id for wordnet_id, _ in classes]
    assert len(classes) == 1000
    assert ids == sorted(set(ids))
    assert all(len(i) == 9 and i[0] == "n" and i[1:].isdigit() for i in ids)
    assert classes[0] == ("n01440764", "tench")
    assert classes[2] == ("n01484850", "great white shark")
    assert classes[281] == ("n02123045", "tabby")
    assert classes[999] == ("n15075141", "toilet tissue")


def test_names_are_distinct():
    assert len({name for _, name in imagenet_classes()}) == 1000


def test_classes_are_read_once():
    assert imagenet_classes() is imagenet_classes()


def test_names_equal_torchvision():
    import_torchvision()
    from torchvision.models import ResNet18_Weights

    names = [name for _, name in imagenet_classes()]
    assert names == ResNet18_Weights.IMAGENET1K_V1.meta["categories"]


def test_imagenet_names_by_falling_score():
    scores = np.zeros((2, 1000), dtype=np.float32)
    scores[0, [281, 2, 999]] = 0.25, 0.5, 0.125
    scores[1, 0] = 1
    first, second = decode_predictions(scores, top=3)
    assert first == [
        ("n01484850", "great white shark", 0.5),
        ("n02123045", "tabby", 0.25),
        ("n15075141", "toilet tissue", 0.125),
    ]
    assert isinstance(first[0], Prediction)
    assert type(first[0].score) is float
    assert second[0] == Prediction(id="n01440764", name="tench", score=1.0)


def test_five_are_named_by_default():
    assert [len(row) for row in decode_predictions(np.zeros((3, 1000)))] == [5, 5, 5]


def test_equal_scores_come_by_index():
    scores = np.zeros((1, 40))
    scores[0, [30, 7, 19]] = 1
    names = [p.name for p in decode_predictions(scores, top=6)[0]]
    assert names == ["7", "19", "30", "0", "1", "2"]


def test_other_class_counts_are_named_by_index():
    assert decode_predictions([[0.25, 0.75]], top=1) == [[("1", "1", 0.75)]]


def test_own_labels_serve_as_ids():
    decoded = decode_predictions([[0.25, 0.5, 0.125]], top=2, labels=["pizza", "steak", "sushi"])
    assert decoded == [[("steak", "steak", 0.5), ("pizza", "pizza", 0.25)]]


def test_own_labels_win_over_imagenet():
    labels = tuple(f"class {index}" for index in range(1000))
    assert decode_predictions(np.eye(1000)[:1], top=1, labels=labels)[0][0].name == "class 0"


def test_unsigned_and_negative_scores_sort_by_value():
    unsigned = decode_predictions(np.array([[3, 0, 200]], dtype=np.uint8), top=3)
    assert [p.name for p in unsigned[0]] == ["2", "0", "1"]
    logits = decode_predictions([[-3.0, -1.0, -2.0]], top=3)
    assert [(p.name, p.score) for p in logits[0]] == [("1", -1.0), ("2", -2.0), ("0", -3.0)]


def test_no_rows_give_no_rows():
    assert decode_predictions(np.zeros((0, 10))) == []


@pytest.mark.parametrize(
    ("predictions", "options", "message"),
    [
        (np.zeros(10), {}, r"predictions has shape \(10,\)"),
        (np.zeros((1, 2, 3)), {}, r"predictions has shape \(1, 2, 3\)"),
        ([["a", "b"]], {}, "predictions has type <U1"),
        (np.zeros((1, 10)), {"top": 0}, "top=0: .* from 1 to 10"),
        (np.zeros((1, 10)), {"top": 11}, "top=11: .* from 1 to 10"),
        (np.zeros((1, 10)), {"top": 2.5}, "top=2.5"),
        (np.zeros((1, 3)), {}, "top=5: .* from 1 to 3"),
        (np.zeros((1, 10)), {"labels": ["a"] * 9}, "9 names, expected 10"),
        (np.zeros((1, 6)), {"labels": "pizzas"}, "'pizzas', expected 6 names"),
    ],
)
def test_wrong_arguments_are_named(predictions, options, message):
    with pytest.raises(ValueError, match=message):
        decode_predictions(predictions, **options)
