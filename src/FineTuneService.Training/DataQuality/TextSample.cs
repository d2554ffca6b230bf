namespace FineTuneService.Training.DataQuality;

/// <summary>The texts of rows as long as all together are not too long; then of a random part of them, the same for the same seed.</summary>
internal sealed class TextSample(long seed)
{
    /// <summary>Two bytes each.</summary>
    private const long MostCharacters = 24_000_000;

    private readonly Dictionary<int, string> _texts = [];
    private ulong _limit = ulong.MaxValue;
    private long _characters;

    /// <summary>Whether no text was left out.</summary>
    public bool IsWhole => _limit == ulong.MaxValue;

    /// <summary>By row.</summary>
    public IReadOnlyDictionary<int, string> Texts => _texts;

    /// <summary>A number of the row that looks random.</summary>
    public ulong Draw(int row)
    {
        var value = (ulong)row + (ulong)seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    public void Add(int row, string text)
    {
        if (Draw(row) > _limit)
            return;
        _texts.Add(row, text);
        _characters += text.Length;
        while (_characters > MostCharacters)
        {
            _limit /= 2;
            foreach (var gone in _texts.Keys.Where(kept => Draw(kept) > _limit).ToArray())
            {
                _characters -= _texts[gone].Length;
                _texts.Remove(gone);
            }
        }
    }
}
