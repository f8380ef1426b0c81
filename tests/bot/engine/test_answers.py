"""What servers answer, in every shape that is known, and in shapes that are none."""

import pytest

from bot.engine.answers import AnswerError, read_answer, read_error_code, read_models


def choice(**fields):
    return {"text": "Hey!", "index": 0, "finish_reason": "stop", "logprobs": None} | fields


def test_choices_come_in_their_order():
    answer = read_answer({"choices": [choice(text="b", index=1), choice(text="a", index=0)]})
    assert [one.text for one in answer.choices] == ["a", "b"]
    assert (answer.prompt_tokens, answer.completion_tokens) == (None, None)


def test_lists_of_logprobs():
    logprobs = {"tokens": ["He", "y", "!"], "token_logprobs": [None, -1.5, -2], "top_logprobs": [None, {}, {}]}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    answer = read_answer({"choices": [choice(logprobs=logprobs, token_ids=[4, 5, 6])], "usage": usage})
    [one] = answer.choices
    assert (one.ids, one.tokens, one.logprobs) == ([4, 5, 6], ["He", "y", "!"], [None, -1.5, -2.0])
    assert (answer.prompt_tokens, answer.completion_tokens) == (7, 3)


def test_objects_with_logprobs():
    content = [{"id": 4, "token": "Hey", "bytes": [72], "logprob": -1, "top_logprobs": []}]
    [one] = read_answer({"choices": [choice(logprobs={"content": content})]}).choices
    assert (one.ids, one.tokens, one.logprobs) == ([4], ["Hey"], [-1.0])


def test_objects_without_ids():
    [one] = read_answer({"choices": [choice(logprobs={"content": [{"token": "Hey", "logprob": -1}]})]}).choices
    assert (one.ids, one.tokens) == (None, ["Hey"])


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"choices": None},
        {"choices": []},
        {"choices": ["Hey!"]},
        {"choices": [{"index": 0}]},
        {"choices": [choice(text=None)]},
        {"choices": [choice(logprobs=[-1.0])]},
        {"choices": [choice(logprobs={"content": [-1.0]})]},
        {"choices": [choice(logprobs={"token_logprobs": -1.0})]},
        {"choices": [choice(logprobs={"token_logprobs": ["much"]})]},
        {"choices": [choice(logprobs={"token_logprobs": [float("nan")]})]},
        {"choices": [choice(token_ids=["a"])]},
        {"choices": [choice()], "usage": 3},
    ],
)
def test_another_shape_is_an_error(body):
    with pytest.raises(AnswerError):
        read_answer(body)


def test_models_and_their_context():
    body = {
        "data": [{"id": "a", "max_model_len": 2048}, {"id": "b", "meta": {"n_ctx": 512}}, {"id": "c", "meta": None}]
    }
    assert read_models(body) == {"a": 2048, "b": 512, "c": None}


@pytest.mark.parametrize("body", [None, {}, {"data": [{}]}, {"data": ["a"]}, {"data": [{"id": 1}]}])
def test_no_list_of_models(body):
    with pytest.raises(AnswerError):
        read_models(body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": "context_length_exceeded", "message": "I said: Hey!"}}, "context_length_exceeded"),
        ({"error": {"code": 400, "type": "BadRequestError"}}, "BadRequestError"),
        ({"error": {"code": "You said: Hey!", "type": "x" * 41}}, None),
        ({"error": "Hey!"}, None),
        ({"detail": "Hey!"}, None),
        ("Hey!", None),
    ],
)
def test_of_an_error_only_a_word_is_read(body, code):
    assert read_error_code(body) == code
