using System.Text;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

/// <summary>Jinja2's filters on one value; those on lists are in <see cref="SequenceFilters"/>.</summary>
internal static class Filters
{
    public static IReadOnlyDictionary<string, Routine> All { get; } = Build();

    private static RoutineTable Build()
    {
        var filters = new RoutineTable
        {
            { "trim", "chars", 0, (run, value, given) => PythonAccess.Same(value, run.Text(StringMethods.Strip(PythonText.Str(value, run), given[0], run))) },
            { "string", (run, value) => value is Markup ? value : PythonText.Str(value, run) },
            { "safe", (run, value) => value is Markup ? value : new Markup(PythonText.Str(value, run)) },
            { "escape", Escape },
            { "e", Escape },
            { "forceescape", (run, value) => new Markup(run.Text(PythonText.EscapeHtml(PythonText.Str(value, run)))) },
            { "lower", (run, value) => run.Text(StringMethods.Lower(PythonText.Str(value, run))) },
            { "upper", (run, value) => run.Text(StringMethods.Upper(PythonText.Str(value, run))) },
            { "capitalize", (run, value) => run.Text(StringMethods.Capitalize(PythonText.Str(value, run))) },
            { "title", (run, value) => run.Text(Title(PythonText.Str(value, run))) },
            { "replace", "old new count", 2, (run, value, given) => StringMethods.Replace(PythonText.Str(value, run), given.Text(0, run), given.Text(1, run), given.Integer(2, -1), run) },
            { "indent", "width first blank", 0, (run, value, given) => Indent(PythonText.Str(value, run), given, run) },
            { "truncate", "length killwords end leeway", 0, Truncate },
            { "wordcount", (run, value) => Boxed.Of(StringMethods.Split(PythonText.Str(value, run), null, -1, run).Count) },
            { "format", (run, value, arguments) => PercentFormat.Format(PythonText.Str(value, run), FormatValues(arguments), run) },
            { "default", "default_value boolean", 0, Default },
            { "d", "default_value boolean", 0, Default },
            { "tojson", "ensure_ascii indent separators sort_keys", 0, (run, value, given) => ToJson.Serialize(value, given, run) },
            { "int", "default base", 0, (run, value, given) => Conversions.ToInteger(value, given[0] ?? Boxed.Of(0), given.Integer(1, 10)) },
            { "float", "default", 0, (_, value, given) => Conversions.ToReal(value, given[0] ?? 0.0) },
            { "round", "precision method", 0, (run, value, given) => Conversions.Round(value, given.Integer(0, 0), given.Text(1, run, "common")) },
            { "abs", (_, value) => PythonNumber.Is(value) ? PythonNumber.Compare(value, Boxed.Of(0)) < 0 ? PythonNumber.Negate(value) : value : throw new TemplateError($"bad operand type for abs(): '{PythonType.Name(value)}'") },
            { "attr", "name", 1, (run, value, given) => PythonAccess.Attribute(value, given.Text(0, run)) },
            { "length", (run, value) => Boxed.Of(PythonOperators.Length(value, run)) },
            { "count", (run, value) => Boxed.Of(PythonOperators.Length(value, run)) },
        };
        foreach (var (name, filter) in SequenceFilters.All)
            filters.Add(name, filter);
        return filters;
    }

    private static object Escape(Rendering run, object value) => value is Markup ? value : new Markup(run.Text(PythonText.EscapeHtml(PythonText.Str(value, run))));

    private static object Default(Rendering run, object value, object?[] given) =>
        value is Undefined || given.Flag(1) && !PythonOperators.IsTrue(value) ? given[0] ?? "" : value;

    private static object FormatValues(Arguments arguments)
    {
        if (arguments.Keywords.Length == 0)
            return new TupleValue(arguments.Positional);
        var named = new DictValue();
        foreach (var (name, value) in arguments.Keywords)
            named[name] = value;
        return named;
    }

    /// <summary>Words begin after white space, a hyphen or an opening bracket.</summary>
    private static string Title(string text)
    {
        var title = new StringBuilder(text.Length);
        for (int start = 0, i = 1; i <= text.Length; i++)
        {
            if (i < text.Length && IsBreak(text[i]) == IsBreak(text[i - 1]))
                continue;
            title.Append(StringMethods.Capitalize(text[start..i]));
            start = i;
        }
        return title.ToString();

        static bool IsBreak(char c) => PythonText.IsSpace(c) || c is '-' or '(' or '{' or '[' or '<';
    }

    private static string Indent(string text, object?[] given, Rendering run)
    {
        var width = given[0] ?? Boxed.Of(4);
        string indention;
        if (PythonText.TryGet(width, out var literal))
            indention = literal;
        else
        {
            run.ChargeText(1, given.Integer(0, 4));
            indention = new string(' ', Math.Max(0, given.Integer(0, 4)));
        }
        var lines = StringMethods.Lines(text + "\n", keepEnds: false, run);
        run.ChargeText(indention.Length + 1, lines.Count);
        run.ChargeText(text.Length);
        var indented = new StringBuilder(given.Flag(1) ? indention : "").Append(lines[0]);
        foreach (var line in lines.Skip(1))
            indented.Append('\n').Append(line.Length > 0 || given.Flag(2) ? indention : "").Append(line);
        return run.Text(indented.ToString());
    }

    private static object Truncate(Rendering run, object value, object?[] given)
    {
        var text = PythonText.Str(value, run);
        var characters = PythonText.Characters(text, run);
        var (length, end) = (given.Integer(0, 255), given.Text(2, run, "..."));
        if (characters.Length <= length + given.Integer(3, 5))
            return text;
        var kept = run.Text(string.Concat(characters.Take(Math.Max(0, length - PythonText.Length(end)))));
        if (!given.Flag(1) && kept.LastIndexOf(' ') is >= 0 and var space)
            kept = kept[..space];
        return run.Text(kept, end);
    }
}
