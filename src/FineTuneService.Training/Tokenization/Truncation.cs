namespace FineTuneService.Training.Tokenization;

/// <summary>The Rust library's <c>truncate_encodings</c>, strategy <c>longest_first</c>, on the right, in place.</summary>
internal static class Truncation
{
    /// <param name="room">The most tokens that may stay.</param>
    /// <param name="isFirstLonger">Which text keeps the odd token.</param>
    /// <returns>How many tokens were cut off.</returns>
    public static int LongestFirst(List<Token> first, List<Token>? second, int room, bool isFirstLonger)
    {
        var excess = first.Count + (second?.Count ?? 0) - room;
        if (excess <= 0)
            return 0;
        if (second is null)
        {
            Keep(first, room);
            return excess;
        }
        var shorter = Math.Min(first.Count, second.Count);
        var longer = shorter > room ? shorter : Math.Max(shorter, room - shorter);
        if (shorter + longer > room)
            (shorter, longer) = (room / 2, room / 2 + room % 2);
        Keep(first, isFirstLonger ? longer : shorter);
        Keep(second, isFirstLonger ? shorter : longer);
        return excess;
    }

    private static void Keep(List<Token> tokens, int count) => tokens.RemoveRange(count, tokens.Count - count);
}
