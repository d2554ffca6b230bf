using FineTuneService.Contracts;

namespace FineTuneService.Training.Tasks;

/// <summary>Sorts texts, or pairs of texts, into classes; or scores them (regression).</summary>
[SpecType("text-classification")]
public sealed record TextClassificationConfig : TaskConfig
{
    /// <summary>Default: <c>multi_label_classification</c> when labels are lists, otherwise <c>single_label_classification</c>.</summary>
    public ProblemType? ProblemType { get; init; }
}

/// <summary>transformers' <c>problem_type</c>: decides labels, loss and metrics.</summary>
public enum ProblemType
{
    /// <summary>One class a row; cross-entropy.</summary>
    SingleLabelClassification,

    /// <summary>Any number of classes a row (a list, or names joined by '|'); binary cross-entropy per class.</summary>
    MultiLabelClassification,

    /// <summary>One number a row; mean squared error.</summary>
    Regression,
}
