namespace FineTuneService.Training.Data;

/// <summary>Reads on one thread and computes on all.</summary>
internal static class InParallel
{
    private const int AtATime = 4096;

    /// <summary>
    /// Results with their rows, in the rows' order. Some thousand rows are read, then computed: so a file may be larger than memory,
    /// the reader and the caller's loop never run at the same time, and a fault of the file comes out as it is.
    /// </summary>
    public static IEnumerable<(TRow Row, TResult Result)> MapInParallel<TRow, TResult>(this IEnumerable<TRow> rows, Func<TRow, TResult> compute) =>
        rows.Chunk(AtATime).SelectMany(chunk => chunk.AsParallel().AsOrdered().Select(row => (row, compute(row))).ToArray());
}
