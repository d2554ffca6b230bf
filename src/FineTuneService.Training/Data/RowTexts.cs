using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>The texts of a few rows of a file, to show them to a person.</summary>
public static class RowTexts
{
    /// <summary>Longer ones are cut.</summary>
    public const int MostCharacters = 2000;

    /// <param name="columns">With <c>text_column</c> resolved.</param>
    /// <param name="lines">At which the rows begin. The file is read to the last of them.</param>
    /// <returns>By line; rows that are not there are left out.</returns>
    /// <exception cref="FaultException">With the faults of the file before the last of the lines.</exception>
    public static IReadOnlyDictionary<long, (string Text, string? Pair)> Read(string path, DatasetSpec columns, IReadOnlySet<long> lines)
    {
        var found = new Dictionary<long, (string, string?)>();
        if (lines.Count == 0 || columns.TextColumn is not { } column)
            return found;
        var last = lines.Max();
        foreach (var row in DataFile.Open(path).Rows())
        {
            if (lines.Contains(row.Line) && Text(row, column) is { } text)
                found[row.Line] = (text, columns.TextPairColumn is { } pair ? Text(row, pair) : null);
            if (row.Line >= last)
                break;
        }
        return found;
    }

    private static string? Text(DataRow row, string column) =>
        CellText.Of(row[column]) is not { } text ? null : text.Length <= MostCharacters ? text : text[..(char.IsHighSurrogate(text[MostCharacters - 1]) ? MostCharacters - 1 : MostCharacters)] + "…";
}
