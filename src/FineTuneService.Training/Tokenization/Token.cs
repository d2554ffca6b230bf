namespace FineTuneService.Training.Tokenization;

/// <summary>One token on its way to an <see cref="Encoding"/>.</summary>
/// <param name="Start">Of its range, in the units of whoever holds the list.</param>
/// <param name="Value">The text that an added token matched, white space that it swallowed included; null for a token of the model.</param>
internal readonly record struct Token(int Id, int Start, int End, string? Value = null);
