using FineTuneService.Contracts;

namespace FineTuneService.Training.DataQuality;

/// <summary>Changes a text a little: leaves out, exchanges, capitalises and misspells words, each by its probability.</summary>
internal sealed class TextAugmenter(Augmentation options, Random random)
{
    private static readonly string[] KeyRows = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];

    public string Change(string text)
    {
        var words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries).ToList();
        if (words.Count == 0)
            return text;
        for (var at = words.Count - 1; at >= 0; at--)
            if (words.Count > 1 && Falls(options.Deletion))
                words.RemoveAt(at);
        for (var at = 0; at < words.Count; at++)
        {
            if (Falls(options.Swap) && random.Next(words.Count) is var other)
                (words[at], words[other]) = (words[other], words[at]);
            if (Falls(options.Case))
                words[at] = random.Next(3) switch { 0 => words[at].ToUpperInvariant(), 1 => words[at].ToLowerInvariant(), _ => char.ToUpperInvariant(words[at][0]) + words[at][1..] };
            if (Falls(options.Typos))
                words[at] = Misspelt(words[at]);
        }
        return string.Join(' ', words);
    }

    private bool Falls(double probability) => random.NextDouble() < probability;

    private string Misspelt(string word)
    {
        var letters = Enumerable.Range(0, word.Length).Where(at => char.IsAsciiLetter(word[at])).ToArray();
        if (letters.Length < 2)
            return word;
        var place = letters[random.Next(letters.Length)];
        return random.Next(4) switch
        {
            0 => word.Remove(place, 1),
            1 => word.Insert(place, word[place].ToString()),
            2 when place + 1 < word.Length => $"{word[..place]}{word[place + 1]}{word[place]}{word[(place + 2)..]}",
            _ => $"{word[..place]}{Neighbour(word[place])}{word[(place + 1)..]}",
        };
    }

    /// <summary>On a QWERTY keyboard.</summary>
    private char Neighbour(char letter)
    {
        var row = KeyRows.First(keys => keys.Contains(char.ToLowerInvariant(letter)));
        var at = row.IndexOf(char.ToLowerInvariant(letter), StringComparison.Ordinal);
        var neighbour = row[at == 0 ? 1 : at == row.Length - 1 ? at - 1 : at + (random.Next(2) == 0 ? -1 : 1)];
        return char.IsAsciiLetterUpper(letter) ? char.ToUpperInvariant(neighbour) : neighbour;
    }
}
