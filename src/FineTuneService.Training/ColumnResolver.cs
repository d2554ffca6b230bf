using FineTuneService.Contracts;

namespace FineTuneService.Training;

/// <summary>Finds a task's columns in a file: the one that was named, or the first of the usual names that exists.</summary>
/// <param name="columns">Names in the file.</param>
/// <param name="choose">Told about each guess: pointer, name, reason.</param>
public sealed class ColumnResolver(IReadOnlyList<string> columns, FaultList faults, Action<string, string, string> choose)
{
    public bool Has(string column) => columns.Contains(column);

    /// <summary>A column that must be there; without one, a fault is noted.</summary>
    /// <param name="field">Field of the specification's <c>dataset</c>, such as <c>text_column</c>.</param>
    public string? Required(string field, string? given, params string[] usual)
    {
        if (Optional(field, given, usual) is { } found)
            return found;
        if (given is null)
            faults.Add($"/dataset/{field}", null, $"None of the usual columns exists ({string.Join(", ", usual)}).", Remedy);
        return given;
    }

    /// <summary>A column that may be missing, unless it was named.</summary>
    public string? Optional(string field, string? given, params string[] usual)
    {
        if (given is not null)
        {
            faults.Require(Has(given), $"/dataset/{field}", given, "The training data has no such column.", Remedy);
            return given;
        }
        if (usual.FirstOrDefault(Has) is not { } guess)
            return null;
        choose($"/dataset/{field}", guess, $"The first column that exists of {string.Join(", ", usual)}.");
        return guess;
    }

    private string Remedy => $"Name one of the columns: {string.Join(", ", columns)}.";
}
