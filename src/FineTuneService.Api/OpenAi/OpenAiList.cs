namespace FineTuneService.Api.OpenAi;

/// <summary>A part of a list; the next part comes after the id of its last object.</summary>
/// <param name="HasMore">Never true of an empty part, at which the .NET client breaks.</param>
public sealed record OpenAiList<T>(IReadOnlyList<T> Data, bool HasMore)
{
    public string Object => "list";
}

/// <summary>A part of a list that names its first and last object as well; null when it is empty.</summary>
public sealed record OpenAiPage<T>(IReadOnlyList<T> Data, string? FirstId, string? LastId, bool HasMore)
{
    public string Object => "list";
}

internal static class OpenAiList
{
    /// <summary>From one object more than the limit, which only shows that there are more.</summary>
    public static OpenAiList<T> Of<T>(IReadOnlyList<T> found, int limit) => new([.. found.Take(limit)], found.Count > limit);

    /// <inheritdoc cref="Of"/>
    public static OpenAiPage<T> PageOf<T>(IReadOnlyList<T> found, int limit, Func<T, string> id)
    {
        var shown = found.Take(limit).ToList();
        return new(shown, shown.Count == 0 ? null : id(shown[0]), shown.Count == 0 ? null : id(shown[^1]), found.Count > limit);
    }
}
