using FineTuneService.Contracts;

namespace FineTuneService.Api.Paging;

/// <summary>A part of a list. To read on, give <c>next_after</c> as <c>after</c>.</summary>
/// <param name="HasMore">Whether anything follows at this moment.</param>
/// <param name="NextAfter">Where this part ends; absent when it is empty.</param>
public sealed record Page<T, TCursor>(IReadOnlyList<T> Data, bool HasMore, TCursor? NextAfter);

public static class Page
{
    /// <summary>From one row more than the limit, which only shows that there are more.</summary>
    public static Page<T, TCursor> Of<TRow, T, TCursor>(List<TRow> rows, int limit, Func<TRow, T> view, Func<TRow, TCursor> cursor, TCursor? none = default) =>
        new([.. rows.Take(limit).Select(view)], rows.Count > limit, rows.Count == 0 ? none : cursor(rows[Math.Min(limit, rows.Count) - 1]));

    /// <exception cref="FaultException">When it is out of bounds.</exception>
    public static int Limit(int? asked, int usual, int most) => asked switch
    {
        null => usual,
        >= 1 when asked <= most => asked.Value,
        _ => throw new FaultException("?limit", asked.Value.ToString(System.Globalization.CultureInfo.InvariantCulture), "This limit is out of bounds.", $"Give 1 to {most}."),
    };
}
