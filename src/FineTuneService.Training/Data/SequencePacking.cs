namespace FineTuneService.Training.Data;

/// <summary>
/// Puts several texts into one row, so that little of a batch is padding: best-fit decreasing, TRL's <c>bfd_split</c> (Ding et al. 2024, "Fewer truncations improve language modeling").
/// No text is cut here, and none ever sees another one: see <see cref="Models.ModelInputs.DocumentIds"/>.
/// </summary>
public static class SequencePacking
{
    /// <param name="length">Tokens of a text.</param>
    /// <param name="capacity">Tokens in a row; no text is longer.</param>
    /// <returns>Rows in the order in which they were begun; the same for the same texts.</returns>
    public static IReadOnlyList<IReadOnlyList<T>> BestFitDecreasing<T>(IEnumerable<T> texts, Func<T, int> length, int capacity)
    {
        var rows = new List<List<T>>();
        var rowsByRoom = new Stack<int>[capacity + 1];
        var rooms = new SortedSet<int>(); // those with a row
        foreach (var text in texts.OrderByDescending(length))
        {
            var needed = length(text);
            int room, row;
            if (rooms.GetViewBetween(needed, capacity).Min is var tightest and > 0)
            {
                (room, row) = (tightest, rowsByRoom[tightest].Pop());
                if (rowsByRoom[tightest].Count == 0)
                    rooms.Remove(tightest);
            }
            else
            {
                (room, row) = (capacity, rows.Count);
                rows.Add([]);
            }
            rows[row].Add(text);
            if (room - needed is > 0 and var rest)
            {
                (rowsByRoom[rest] ??= new()).Push(row);
                rooms.Add(rest);
            }
        }
        return rows;
    }
}
