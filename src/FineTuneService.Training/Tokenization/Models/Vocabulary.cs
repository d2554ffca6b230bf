using System.Runtime.InteropServices;

namespace FineTuneService.Training.Tokenization.Models;

/// <summary>Tokens and their ids, both ways.</summary>
internal sealed class Vocabulary
{
    private readonly Dictionary<string, int> _ids;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _bySpan;
    private readonly Dictionary<int, string> _tokens = [];

    public Vocabulary(IEnumerable<(string Token, int Id)> entries)
    {
        _ids = new(StringComparer.Ordinal);
        _bySpan = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var (token, id) in entries)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_ids, token, out _) = id;
            _tokens[id] = token;
        }
    }

    public int Count => _ids.Count;

    public IEnumerable<KeyValuePair<string, int>> Entries => _ids;

    /// <summary>The id, or -1.</summary>
    public int IdOf(ReadOnlySpan<char> token) => _bySpan.TryGetValue(token, out var id) ? id : -1;

    public string? TokenOf(int id) => _tokens.GetValueOrDefault(id);

    /// <summary>Reads <c>{"token": id, …}</c>.</summary>
    public static Vocabulary Read(JsonSection section)
    {
        if (section.Element.ValueKind != System.Text.Json.JsonValueKind.Object)
            throw section.Fault("A vocabulary is an object of tokens and ids.", "Download the file again.");
        return new(section.Members().Select(entry => (entry.Name, entry.Value.Number())));
    }
}
