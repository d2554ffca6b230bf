namespace FineTuneService.Contracts;

/// <summary>One line to <c>finetune predict CHECKPOINT --stdin</c>; the answer is one <see cref="PredictReply"/> line.</summary>
public sealed record PredictRequest
{
    public required IReadOnlyList<PredictInput> Inputs { get; init; }

    /// <summary>Whether probabilities are those of the checkpoint's <see cref="Calibration"/>, where it has one; false: as transformers computes them. It changes no label.</summary>
    public bool Calibrated { get; init; } = true;

    /// <summary>A text whose most probable class is less probable than this gets no label.</summary>
    public double? AbstainBelow { get; init; }
}

public sealed record PredictInput
{
    public required string Text { get; init; }
    public string? TextPair { get; init; }
}

/// <summary>
/// What the predictor says: first one line with <see cref="ModelReply.Ready"/> once the model is warm, then one line a request,
/// with either predictions (in the order of the inputs) or faults.
/// </summary>
public sealed record PredictReply : ModelReply
{
    public IReadOnlyList<Prediction>? Predictions { get; init; }

    /// <summary>By which logits were divided for the probabilities; null: they were left as they are.</summary>
    public double? Temperature { get; init; }
}

public sealed record Prediction
{
    /// <summary>The most probable class; null for regression and multi-label, and where it was not sure enough.</summary>
    public string? Label { get; init; }

    /// <summary>True where no class was as probable as <c>abstain_below</c> wants.</summary>
    public bool? Abstained { get; init; }

    /// <summary>Multi-label: the classes with a probability of at least one half.</summary>
    public IReadOnlyList<string>? Labels { get; init; }

    /// <summary>Probability of each class; null for regression.</summary>
    public IReadOnlyDictionary<string, double>? Probabilities { get; init; }

    /// <summary>Regression: the predicted number.</summary>
    public double? Value { get; init; }

    /// <summary>Token classification: what was found in the text, in its order; null for other tasks.</summary>
    public IReadOnlyList<PredictedEntity>? Entities { get; init; }

    /// <summary>Tokens cut off because the text was longer than the model reads.</summary>
    public int TruncatedTokens { get; init; }
}

/// <summary>A part of a text and what it is.</summary>
/// <param name="Label">Its type, such as <c>PER</c>.</param>
/// <param name="Start">Its first character, in Unicode code points from the start of the text.</param>
/// <param name="End">The character behind its last.</param>
/// <param name="Text">That part.</param>
/// <param name="Score">Mean probability of the words' tags.</param>
public sealed record PredictedEntity(string Label, int Start, int End, string Text, double Score);
