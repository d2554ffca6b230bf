using System.Buffers;
using System.Text;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

/// <summary>Python's methods of str.</summary>
internal static class StringMethods
{
    private static readonly SearchValues<char> LineEnds = SearchValues.Create("\n\r\v\f\u001c\u001d\u001e\u0085\u2028\u2029");

    public static RoutineTable All { get; } = new()
    {
        { "strip", "chars", 0, (run, value, given) => Strip(Text(value), given[0], run) },
        { "lstrip", "chars", 0, (run, value, given) => Strip(Text(value), given[0], run, atEnd: false) },
        { "rstrip", "chars", 0, (run, value, given) => Strip(Text(value), given[0], run, atStart: false) },
        { "split", "sep maxsplit", 0, (run, value, given) => new ListValue([.. Split(Text(value), given[0], given.Integer(1, -1), run)]) },
        { "rsplit", "sep maxsplit", 0, (run, value, given) => new ListValue([.. SplitFromEnd(Text(value), given[0], given.Integer(1, -1), run)]) },
        { "splitlines", "keepends", 0, (run, value, given) => new ListValue([.. Lines(Text(value), given.Flag(0), run)]) },
        { "partition", "sep", 1, (run, value, given) => Partition(Text(value), Required(given[0]), run.Search(Text(value), Required(given[0])), ifAbsent: 0, run) },
        { "rpartition", "sep", 1, (run, value, given) => Partition(Text(value), Required(given[0]), SearchLast(Text(value), Required(given[0]), run), ifAbsent: 2, run) },
        { "startswith", "prefix start end", 1, (run, value, given) => Boxed.Of(HasEdge(value, given, (text, part) => text.StartsWith(part, StringComparison.Ordinal), run)) },
        { "endswith", "suffix start end", 1, (run, value, given) => Boxed.Of(HasEdge(value, given, (text, part) => text.EndsWith(part, StringComparison.Ordinal), run)) },
        { "removeprefix", "prefix", 1, (run, value, given) => Text(value).StartsWith(Required(given[0]), StringComparison.Ordinal) ? run.Text(Text(value).AsSpan(Required(given[0]).Length)) : Text(value) },
        { "removesuffix", "suffix", 1, (run, value, given) => Text(value).EndsWith(Required(given[0]), StringComparison.Ordinal) ? run.Text(Text(value).AsSpan(0, Text(value).Length - Required(given[0]).Length)) : Text(value) },
        { "replace", "old new count", 2, (run, value, given) => Replace(Text(value), Required(given[0]), Required(given[1]), given.Integer(2, -1), run) },
        { "find", "sub", 1, (run, value, given) => Boxed.Of(Position(Text(value), run.Search(Text(value), Required(given[0])))) },
        { "rfind", "sub", 1, (run, value, given) => Boxed.Of(Position(Text(value), SearchLast(Text(value), Required(given[0]), run))) },
        { "index", "sub", 1, (run, value, given) => Boxed.Of(run.Search(Text(value), Required(given[0])) is >= 0 and var at ? Position(Text(value), at) : throw new TemplateError("substring not found")) },
        { "count", "sub", 1, (run, value, given) => Boxed.Of(Required(given[0]).Length == 0 ? PythonText.Length(Text(value)) + 1 : Count(Text(value), Required(given[0]), int.MaxValue, run)) },
        { "join", "iterable", 1, Join },
        { "upper", (run, value) => run.Text(Upper(Text(value))) },
        { "lower", (run, value) => run.Text(Lower(Text(value))) },
        { "casefold", (run, value) => run.Text(Lower(Text(value)).Replace("ß", "ss", StringComparison.Ordinal)) },
        { "capitalize", (run, value) => run.Text(Capitalize(Text(value))) },
        { "title", (run, value) => run.Text(Title(Text(value))) },
        { "swapcase", (run, value) => run.Text(string.Concat(Text(value).Select(c => char.IsUpper(c) ? char.ToLowerInvariant(c) : char.ToUpperInvariant(c)))) },
        { "isdigit", (_, value) => Boxed.Of(IsAll(value, char.IsDigit)) },
        { "isnumeric", (_, value) => Boxed.Of(IsAll(value, char.IsNumber)) },
        { "isdecimal", (_, value) => Boxed.Of(IsAll(value, char.IsDigit)) },
        { "isalpha", (_, value) => Boxed.Of(IsAll(value, char.IsLetter)) },
        { "isalnum", (_, value) => Boxed.Of(IsAll(value, c => char.IsLetter(c) || char.IsNumber(c))) },
        { "isspace", (_, value) => Boxed.Of(IsAll(value, PythonText.IsSpace)) },
        { "islower", (_, value) => Boxed.Of(IsCased(Text(value), char.IsLower, char.IsUpper)) },
        { "isupper", (_, value) => Boxed.Of(IsCased(Text(value), char.IsUpper, char.IsLower)) },
        { "ljust", "width fillchar", 1, (run, value, given) => Pad(Text(value), given, 0, run) },
        { "rjust", "width fillchar", 1, (run, value, given) => Pad(Text(value), given, 1, run) },
        { "center", "width fillchar", 1, (run, value, given) => Pad(Text(value), given, 0.5, run) },
        { "zfill", "width", 1, (run, value, given) => ZeroFill(Text(value), given.Integer(0, 0), run) },
        { "format", (run, value, arguments) => BraceFormat.Format(Text(value), arguments, run) },
    };

    public static string Strip(string text, object? characters, Rendering run, bool atStart = true, bool atEnd = true)
    {
        if (characters is null or None)
        {
            var span = atStart ? PythonText.TrimStart(text) : text;
            return run.Text(atEnd ? PythonText.TrimEnd(span) : span);
        }
        var set = PythonText.Characters(Required(characters), run).ToHashSet();
        var (start, end) = (0, text.Length);
        while (atStart && start < end && set.Contains(text.Substring(start, PythonText.WidthAt(text, start))))
            start += PythonText.WidthAt(text, start);
        while (atEnd && end > start && set.Contains(LastBefore(end)))
            end -= LastBefore(end).Length;
        return run.Text(text.AsSpan(start, end - start));

        string LastBefore(int at) => at - 2 >= start && PythonText.WidthAt(text, at - 2) == 2 ? text.Substring(at - 2, 2) : text[(at - 1)..at];
    }

    /// <param name="text">What to split.</param>
    /// <param name="separator">None or null: runs of white space, and none at the ends.</param>
    /// <param name="most">Splits; below 0 without limit.</param>
    /// <param name="run">Pays.</param>
    public static List<string> Split(string text, object? separator, int most, Rendering run)
    {
        var parts = new List<string>();
        if (separator is null or None)
        {
            for (var rest = PythonText.TrimStart(text); !rest.IsEmpty;)
            {
                run.ChargeItems(1);
                var end = 0;
                while (end < rest.Length && !PythonText.IsSpace(rest[end]))
                    end++;
                if (most >= 0 && parts.Count == most)
                    end = rest.Length;
                parts.Add(PythonText.TrimEnd(rest[..end]) is var part && end < rest.Length ? part.ToString() : rest[..end].ToString());
                rest = PythonText.TrimStart(rest[end..]);
            }
            return parts;
        }
        var mark = Separator(separator);
        var from = 0;
        for (int at; (most < 0 || parts.Count < most) && (at = run.Search(text, mark, from)) >= 0; from = at + mark.Length)
        {
            run.ChargeItems(1);
            parts.Add(text[from..at]);
        }
        parts.Add(text[from..]);
        return parts;
    }

    private static List<string> SplitFromEnd(string text, object? separator, int most, Rendering run)
    {
        var all = Split(text, separator, -1, run);
        if (most < 0 || all.Count <= most + 1)
            return all;
        if (separator is null or None)
            throw new TemplateError("rsplit() needs a separator together with maxsplit");
        var joined = all.Count - most;
        return [run.Text(string.Join(Separator(separator), all.Take(joined))), .. all.Skip(joined)];
    }

    public static List<string> Lines(string text, bool keepEnds, Rendering run)
    {
        var lines = new List<string>();
        for (var start = 0; start < text.Length;)
        {
            run.ChargeItems(1);
            var length = text.AsSpan(start).IndexOfAny(LineEnds);
            var end = length < 0 ? text.Length : start + length;
            var next = end == text.Length ? end : text[end] == '\r' && end + 1 < text.Length && text[end + 1] == '\n' ? end + 2 : end + 1;
            lines.Add(text[start..(keepEnds ? next : end)]);
            start = next;
        }
        return lines;
    }

    public static string Replace(string text, string old, string with, int most, Rendering run)
    {
        if (most == 0)
            return text;
        if (old.Length == 0)
        {
            var characters = PythonText.Characters(text, run);
            run.ChargeText(with.Length, characters.Length + 1);
            var gaps = most < 0 ? characters.Length + 1 : Math.Min(most, characters.Length + 1);
            return run.Text(string.Concat(characters.Select((character, i) => i < gaps ? with + character : character)) + (gaps > characters.Length ? with : ""));
        }
        var count = Count(text, old, most < 0 ? int.MaxValue : most, run);
        run.ChargeText(with.Length, count);
        run.ChargeText(text.Length);
        if (most < 0 || count < most)
            return run.Text(text.Replace(old, with, StringComparison.Ordinal));
        var replaced = new StringBuilder();
        var from = 0;
        for (var n = 0; n < count; n++)
        {
            var at = text.IndexOf(old, from, StringComparison.Ordinal);
            replaced.Append(text, from, at - from).Append(with);
            from = at + old.Length;
        }
        return run.Text(replaced.Append(text, from, text.Length - from).ToString());
    }

    // The one letter in use whose upper case is longer than itself.
    public static string Upper(string text) => text.ToUpperInvariant().Replace("ß", "SS", StringComparison.Ordinal);

    public static string Lower(string text) => text.ToLowerInvariant();

    public static string Capitalize(string text)
    {
        if (text.Length == 0)
            return text;
        var width = PythonText.WidthAt(text, 0);
        return Upper(text[..width]) + Lower(text[width..]);
    }

    /// <summary>Whether there is a letter of one case and none of the other.</summary>
    public static bool IsCased(string text, Func<char, bool> wanted, Func<char, bool> unwanted) => text.Any(wanted) && !text.Any(unwanted);

    private static string Title(string text)
    {
        var title = new StringBuilder(text.Length);
        var inWord = false;
        foreach (var c in text)
        {
            title.Append(inWord ? char.ToLowerInvariant(c) : char.ToUpperInvariant(c));
            inWord = char.IsLetter(c);
        }
        return title.ToString();
    }

    private static int Count(string text, string part, int most, Rendering run)
    {
        var count = 0;
        for (int at, from = 0; count < most && (at = run.Search(text, part, from)) >= 0; from = at + part.Length)
            count++;
        return count;
    }

    private static int SearchLast(string text, string part, Rendering run)
    {
        run.Search(text, part); // Pays as much as the search from the end may cost.
        return text.LastIndexOf(part, StringComparison.Ordinal);
    }

    private static TupleValue Partition(string text, string mark, int at, int ifAbsent, Rendering run)
    {
        if (mark.Length == 0)
            throw new TemplateError("empty separator");
        if (at < 0)
            return ifAbsent == 0 ? new(text, "", "") : new("", "", text);
        return new(run.Text(text.AsSpan(0, at)), mark, run.Text(text.AsSpan(at + mark.Length)));
    }

    private static bool HasEdge(object value, object?[] given, Func<string, string, bool> has, Rendering run)
    {
        var text = given[1] is null && given[2] is null ? Text(value)
            : (string)PythonAccess.Slice(Text(value), given[1] ?? None.Value, given[2] ?? None.Value, None.Value, run);
        return given[0] is TupleValue candidates ? candidates.Items.Any(part => has(text, Required(part))) : has(text, Required(given[0]));
    }

    private static object Join(Rendering run, object value, object?[] given)
    {
        var items = PythonOperators.Items(given[0]!, run);
        run.ChargeItems(items.Length);
        run.ChargeText(Text(value).Length, items.Length);
        var texts = Array.ConvertAll(items, Required);
        foreach (var text in texts)
            run.ChargeText(text.Length);
        return run.Text(string.Join(Text(value), texts));
    }

    private static bool IsAll(object value, Func<char, bool> holds) => Text(value) is { Length: > 0 } text && text.All(holds);

    /// <param name="text">Already of that width: itself.</param>
    /// <param name="given">Width and filler.</param>
    /// <param name="before">The share of the filling that goes in front.</param>
    /// <param name="run">Pays.</param>
    private static string Pad(string text, object?[] given, double before, Rendering run)
    {
        var missing = Math.Max(0, given.Integer(0, 0) - PythonText.Length(text));
        var filler = given.Text(1, run, " ");
        run.ChargeText(1, missing);
        if (filler.Length != 1)
            throw new TemplateError("The fill character must be exactly one character long");
        var front = (int)(missing * before);
        return run.Text(new string(filler[0], front) + text + new string(filler[0], missing - front));
    }

    private static string ZeroFill(string text, int width, Rendering run)
    {
        var missing = Math.Max(0, width - PythonText.Length(text));
        run.ChargeText(1, missing);
        var sign = text.StartsWith('-') || text.StartsWith('+') ? 1 : 0;
        return run.Text(text[..sign] + new string('0', missing) + text[sign..]);
    }

    private static int Position(string text, int unit) => unit <= 0 ? unit : PythonText.Length(text[..unit]);

    private static string Separator(object value) => Required(value) is { Length: > 0 } mark ? mark : throw new TemplateError("empty separator");

    private static string Text(object value) => PythonText.TryGet(value, out var text) ? text : throw new TemplateError($"str expected, not {PythonType.Name(value)}");

    private static string Required(object? value)
    {
        if (value is Undefined undefined)
            throw new TemplateError(undefined.Message);
        return Text(value!);
    }
}
