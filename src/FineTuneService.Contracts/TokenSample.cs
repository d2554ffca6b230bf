namespace FineTuneService.Contracts;

/// <summary>A row of the training data as the model reads it, for a person to look at: a line of a run's <c>samples.jsonl</c>.</summary>
public sealed record TokenSample
{
    /// <summary><c>text</c>; of a preference <c>chosen</c> or <c>rejected</c>.</summary>
    public required string Name { get; init; }
    public required IReadOnlyList<SampleToken> Tokens { get; init; }
}

/// <param name="Token">As the vocabulary spells it.</param>
/// <param name="Weight">How much it counts as something to learn; 0: it is only read.</param>
public sealed record SampleToken(int Id, string Token, double Weight);
