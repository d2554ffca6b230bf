namespace FineTuneService.Training.Tasks;

/// <summary>A run of words that are one thing; <paramref name="End"/> is the word behind the last.</summary>
public readonly record struct Entity(string Type, int Start, int End);

/// <summary>
/// Entities in a row of tags, by the rules of seqeval (Nakayama 2018) and CoNLL-2000's conlleval: IOB2, and what is near it. An "I-" without a beginning, or of another type than
/// its neighbour, begins an entity; a tag without a prefix counts as inside.
/// </summary>
public static class Entities
{
    private const string Outside = "O";

    /// <summary>Whether these are tags of entities, not classes of words such as parts of speech.</summary>
    public static bool AreTags(IEnumerable<string> labels) => labels.Any(label => label == Outside || HasPrefix(label));

    public static List<Entity> Of(IReadOnlyList<string> tags)
    {
        var found = new List<Entity>();
        var (start, before) = (0, Read(Outside));
        for (var at = 0; at <= tags.Count; at++)
        {
            var tag = Read(at < tags.Count ? tags[at] : Outside);
            if (Ends(before, tag))
                found.Add(new(before.Type, start, at));
            if (Begins(before, tag))
                start = at;
            before = tag;
        }
        return found;
    }

    private static bool Ends((char Prefix, string Type) before, (char Prefix, string Type) tag) => before.Prefix switch
    {
        'O' => false,
        'E' or 'S' => true,
        _ => tag.Prefix is 'B' or 'S' or 'O' || before.Type != tag.Type,
    };

    private static bool Begins((char Prefix, string Type) before, (char Prefix, string Type) tag) => tag.Prefix switch
    {
        'O' => false,
        'B' or 'S' => true,
        _ => before.Prefix is 'E' or 'S' or 'O' || before.Type != tag.Type,
    };

    private static (char Prefix, string Type) Read(string tag) => tag switch
    {
        Outside => ('O', ""),
        _ when HasPrefix(tag) => (tag[0], tag[2..]),
        _ => ('I', tag),
    };

    private static bool HasPrefix(string tag) => tag is [('B' or 'I' or 'E' or 'S'), '-', ..];
}
