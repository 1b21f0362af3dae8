"""Writes the guidance graph: an ONNX file that computes the classifier's gradient without automatic differentiation.

    python classifier_graph.py CLASSIFIER.pt FOLDER

Writes FOLDER/classifier/model.onnx and config.json.
Inputs: `sample` [batch, 4, height, width], `timestep` [batch] from 0 to 999, `label` [batch].
Outputs: `gradient` [batch, 4, height, width] of log p(label | sample, timestep) with respect to the sample, and
`log_probability` [batch].
The backward pass is written out as an ordinary forward computation.
It is compared with torch.autograd, and ONNX Runtime with torch, before the script ends.
"""
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from torch import nn

from classifier import HEADS, LABELS, Classifier, log_probabilities
from export import store_as_half

TOLERANCE = 1e-5
CASES = [(1, 8, 8), (3, 8, 8), (2, 16, 12), (2, 7, 9), (1, 1, 1)]  # batch, height, width


class Guidance(nn.Module):
    """The classifier and its derivative, in operations that an inference engine has."""

    def __init__(self, classifier):
        super().__init__()
        self.classifier = classifier
        head_of_answer = np.repeat(np.arange(len(HEADS)), list(HEADS.values()))
        something_else = np.cumsum(list(HEADS.values())) - 1  # the last answer of each head, which no label names
        self.register_buffer("answer_of_label", torch.tensor(np.delete(np.arange(len(head_of_answer)), something_else)))
        others = head_of_answer[:, None] != head_of_answer
        self.register_buffer("outside", torch.tensor(others * -1e4, dtype=torch.float32))  # an answer's own head

    def forward(self, sample, timestep, label):
        logits, layers = self.kept(sample, timestep)
        answer = self.answer_of_label[label]
        wanted = F.one_hot(answer, logits.shape[1]).to(logits.dtype)
        within_head = (logits + self.outside[answer]).log_softmax(1)
        return self.backward(wanted - within_head.exp(), layers), (within_head * wanted).sum(1)

    def kept(self, sample, timestep):
        """The forward pass, and for the backward pass the input of every layer and its value before SiLU."""
        layers, hidden = [], sample
        for convolution, (factor, shift) in zip(self.classifier.convolutions, self.classifier.modulated(timestep)):
            before, inner = hidden, convolution(hidden) * factor + shift
            layers.append((convolution, factor, before, inner))
            hidden = F.silu(inner)
        return self.classifier.answers(hidden.mean((2, 3))), layers

    def backward(self, gradient, layers):
        """From the gradient with respect to the logits to the gradient with respect to the sample."""
        height, width = layers[-1][3].shape[2:]
        gradient = (gradient @ self.classifier.answers.weight)[:, :, None, None] / (height * width)
        for convolution, factor, before, inner in reversed(layers):
            gradient = through_convolution(convolution, gradient * slope_of_silu(inner) * factor, before)
        return gradient


def slope_of_silu(inner):
    """The derivative of x * sigmoid(x)."""
    gate = inner.sigmoid()
    return gate * (1 + inner * (1 - gate))


def through_convolution(convolution, gradient, before):
    """The transposed convolution; stride 2 gives one row too many where the height is odd, and that row is cut."""
    stride = convolution.stride[0]
    gradient = F.conv_transpose2d(gradient, convolution.weight, stride=stride, padding=1, output_padding=stride - 1)
    return gradient[:, :, :before.shape[2], :before.shape[3]] if stride > 1 else gradient


def example(batch, height, width):
    """Random latents, timesteps and labels, the same for the same size."""
    torch.manual_seed(batch * 1000 + height * 10 + width)
    return (torch.randn(batch, 4, height, width), torch.randint(1000, (batch,)).float(),
            torch.randint(len(LABELS), (batch,)))


def differentiated(classifier, sample, timestep, label):
    """What torch.autograd says."""
    sample = sample.clone().requires_grad_()
    chosen = log_probabilities(classifier(sample, timestep)).gather(1, label[:, None])[:, 0]
    return torch.autograd.grad(chosen.sum(), sample)[0], chosen.detach()


def largest_difference(first, second):
    """Over both outputs; not a number where either is not."""
    return np.max([np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in zip(first, second, strict=True)])


def load_classifier(path):
    """The classifier with its weights rounded to the 16 bits that the graph stores."""
    classifier = Classifier()
    classifier.load_state_dict({name: weight.half().float() for name, weight in torch.load(path).items()})
    return classifier.eval().requires_grad_(False)


def write_graph(guidance, path):
    free = {0: "batch", 2: "height", 3: "width"}
    os.makedirs(os.path.dirname(path), exist_ok=True)
    torch.onnx.export(
        guidance, example(2, 8, 8), path, opset_version=17, dynamo=False, input_names=["sample", "timestep", "label"],
        output_names=["gradient", "log_probability"],
        dynamic_axes={"sample": free, "gradient": free, **{name: {0: "batch"} for name in
                                                           ("timestep", "label", "log_probability")}})
    store_as_half(path)
    model = onnx.load(path)
    model.doc_string = "Classifier guidance: the gradient of log p(label | noisy latents, timestep)."
    onnx.save(model, path)


def compare(classifier, guidance, path):
    """For each case the largest differences: of our backward pass and autograd, of ONNX Runtime and torch.

    Then the largest entry of the gradient, and as a control our backward pass and autograd for the next label.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for size in CASES:
        sample, timestep, label = example(*size)
        ours = guidance(sample, timestep, label)
        feeds = {"sample": sample.numpy(), "timestep": timestep.numpy(), "label": label.numpy()}
        labels = label, (label + 1) % len(LABELS)
        expected, other = (differentiated(classifier, sample, timestep, one) for one in labels)
        yield [largest_difference(ours, expected), largest_difference(session.run(None, feeds), ours),
               ours[0].abs().max().item(), largest_difference(ours[:1], other[:1])]


def main():
    classifier = load_classifier(sys.argv[1])
    folder = f"{sys.argv[2]}/classifier"
    path = f"{folder}/model.onnx"
    guidance = Guidance(classifier).eval()
    write_graph(guidance, path)
    config = {"id2label": {str(number): label for number, label in enumerate(LABELS)}}
    with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
        file.write(json.dumps(config, indent=2) + "\n")
    print("batch, height, width | autograd | ONNX Runtime and torch | largest entry | control: another label")
    for size, differences in zip(CASES, compare(classifier, guidance, path)):
        print(*size, "|", " | ".join(f"{value:.1e}" for value in differences))
        assert all(value <= TOLERANCE for value in differences[:2]), "the graph does not compute the gradient"
        assert differences[3] > TOLERANCE, "the comparison cannot tell two labels apart"
    print(f"{os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
