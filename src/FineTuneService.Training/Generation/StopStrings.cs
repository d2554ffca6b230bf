namespace FineTuneService.Training.Generation;

/// <summary>Finds the first stop string in a text that comes in pieces, wherever the pieces end: what could be the beginning of one is held back.</summary>
internal sealed class StopStrings(IReadOnlyList<string> stops)
{
    private string _held = "";

    /// <returns>Text that is certain to stand before any stop string, and whether one has been found.</returns>
    public (string Text, bool Found) Add(string piece)
    {
        var text = _held + piece;
        var first = stops.Select(stop => text.IndexOf(stop, StringComparison.Ordinal)).Where(at => at >= 0).DefaultIfEmpty(-1).Min();
        if (first >= 0)
        {
            _held = "";
            return (text[..first], true);
        }
        var kept = Enumerable.Range(0, text.Length).FirstOrDefault(at => stops.Any(stop => stop.StartsWith(text[at..], StringComparison.Ordinal)), text.Length);
        _held = text[kept..];
        return (text[..kept], false);
    }

    /// <summary>What was held back, when nothing follows.</summary>
    public string Flush()
    {
        var text = _held;
        _held = "";
        return text;
    }
}
