using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Text;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

/// <summary>transformers' <c>tojson</c>: Python's json.dumps, with nothing escaped for HTML and, unless asked for, nothing for ASCII.</summary>
internal sealed class ToJson
{
    private readonly StringBuilder _to = new();
    private readonly Rendering _run;
    private readonly bool _isAscii;
    private readonly string? _indent;
    private readonly string _itemSeparator;
    private readonly string _keySeparator;
    private readonly bool _sortsKeys;

    private ToJson(object?[] given, Rendering run)
    {
        _run = run;
        _isAscii = given.Flag(0);
        _indent = given[1] switch
        {
            null or None => null,
            string text => text,
            _ => new string(' ', Math.Clamp(given.Integer(1, 0), 0, 64)),
        };
        (_itemSeparator, _keySeparator) = given[2] switch
        {
            null or None => (_indent is null ? ", " : ",", ": "),
            SequenceValue { Items: [string item, string key] } => (item, key),
            _ => throw new TemplateError("separators must be a pair of strings"),
        };
        _sortsKeys = given.Flag(3);
    }

    /// <param name="value">None, bool, number, string, list, tuple or dict.</param>
    /// <param name="given">ensure_ascii, indent, separators, sort_keys.</param>
    /// <param name="run">Pays.</param>
    public static string Serialize(object value, object?[] given, Rendering run)
    {
        var json = new ToJson(given, run);
        json.Write(value, 0);
        return run.Text(json._to.ToString());
    }

    private void Write(object value, int depth)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        _run.ChargeItems(1);
        switch (value)
        {
            case DictValue dict:
                var entries = _sortsKeys ? dict.OrderBy(entry => Key(entry.Key), StringComparer.Ordinal) : dict.AsEnumerable();
                WriteItems('{', '}', entries, depth, entry =>
                {
                    WriteText(Key(entry.Key));
                    _to.Append(_keySeparator);
                    Write(entry.Value, depth + 1);
                });
                break;
            case SequenceValue sequence:
                WriteItems('[', ']', sequence.Items, depth, item => Write(item, depth + 1));
                break;
            case string or Markup:
                WriteText(PythonText.Str(value, _run));
                break;
            default:
                _to.Append(Scalar(value));
                break;
        }
    }

    private void WriteItems<T>(char open, char close, IEnumerable<T> items, int depth, Action<T> write)
    {
        _to.Append(open);
        var isFirst = true;
        foreach (var item in items)
        {
            if (!isFirst)
                _to.Append(_itemSeparator);
            isFirst = false;
            Break(depth + 1);
            write(item);
        }
        if (!isFirst)
            Break(depth);
        _to.Append(close);
    }

    private void Break(int depth)
    {
        if (_indent is null)
            return;
        _run.ChargeText(_indent.Length, depth);
        _to.Append('\n');
        for (var i = 0; i < depth; i++)
            _to.Append(_indent);
    }

    private static string Key(object key) => key as string ?? (key as Markup)?.Text ?? Scalar(key);

    private static string Scalar(object value) => value switch
    {
        None => "null",
        bool truth => truth ? "true" : "false",
        long integer => integer.ToString(CultureInfo.InvariantCulture),
        BigInteger big => big.ToString(CultureInfo.InvariantCulture),
        double.PositiveInfinity => "Infinity",
        double.NegativeInfinity => "-Infinity",
        double.NaN => "NaN",
        double real => PythonNumber.Repr(real),
        _ => throw new TemplateError($"Object of type {PythonType.Name(value)} is not JSON serializable"),
    };

    private void WriteText(string text)
    {
        _run.ChargeText(text.Length, 6); // \u0000
        _to.Append('"');
        foreach (var c in text)
        {
            switch (c)
            {
                case '"': _to.Append("\\\""); break;
                case '\\': _to.Append("\\\\"); break;
                case '\n': _to.Append("\\n"); break;
                case '\r': _to.Append("\\r"); break;
                case '\t': _to.Append("\\t"); break;
                case '\b': _to.Append("\\b"); break;
                case '\f': _to.Append("\\f"); break;
                case < ' ':
                case > '~' when _isAscii:
                    _to.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
                    break;
                default: _to.Append(c); break;
            }
        }
        _to.Append('"');
    }
}
