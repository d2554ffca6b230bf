using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Text;

namespace FineTuneService.Training.ChatTemplates.Jinja.Values;

/// <summary>Python's str: what values print as, and strings counted in code points though .NET keeps UTF-16.</summary>
internal static class PythonText
{
    /// <summary><c>str.isspace</c> of one character.</summary>
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    public static ReadOnlySpan<char> TrimStart(ReadOnlySpan<char> text)
    {
        var start = 0;
        while (start < text.Length && IsSpace(text[start]))
            start++;
        return text[start..];
    }

    public static ReadOnlySpan<char> TrimEnd(ReadOnlySpan<char> text)
    {
        var end = text.Length;
        while (end > 0 && IsSpace(text[end - 1]))
            end--;
        return text[..end];
    }

    public static bool TryGet(object value, [NotNullWhen(true)] out string? text)
    {
        text = value as string ?? (value as Markup)?.Text;
        return text is not null;
    }

    public static bool HasSurrogates(string text) => text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF');

    /// <summary>How many UTF-16 units the code point at <paramref name="index"/> has.</summary>
    public static int WidthAt(string text, int index) => char.IsHighSurrogate(text[index]) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]) ? 2 : 1;

    /// <summary>In code points.</summary>
    public static int Length(string text)
    {
        if (!HasSurrogates(text))
            return text.Length;
        var count = 0;
        for (var i = 0; i < text.Length; i += WidthAt(text, i))
            count++;
        return count;
    }

    /// <summary>One string a code point.</summary>
    public static string[] Characters(string text, Rendering run)
    {
        run.ChargeItems(text.Length);
        var characters = new string[Length(text)];
        for (int i = 0, width, n = 0; i < text.Length; i += width)
        {
            width = WidthAt(text, i);
            characters[n++] = text.Substring(i, width);
        }
        return characters;
    }

    /// <summary>What <c>{{ value }}</c> prints: Python's str().</summary>
    public static string Str(object value, Rendering run)
    {
        if (TryGet(value, out var text))
            return text;
        if (value is Undefined)
            return "";
        if (value is long integer)
            return integer.ToString(CultureInfo.InvariantCulture);
        var builder = new StringBuilder();
        AppendRepr(builder, value, run);
        return builder.ToString();
    }

    public static string Repr(object value, Rendering run)
    {
        var builder = new StringBuilder();
        AppendRepr(builder, value, run);
        return builder.ToString();
    }

    private static void AppendRepr(StringBuilder to, object value, Rendering run)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        run.ChargeItems(1);
        switch (value)
        {
            case None: to.Append("None"); break;
            case Undefined: to.Append("Undefined"); break;
            case bool truth: to.Append(truth ? "True" : "False"); break;
            case long integer: to.Append(CultureInfo.InvariantCulture, $"{integer}"); break;
            case BigInteger big: to.Append(CultureInfo.InvariantCulture, $"{big}"); break;
            case double real: to.Append(PythonNumber.Repr(real)); break;
            case string text: AppendQuoted(to, text, run); break;
            case Markup markup:
                to.Append("Markup(");
                AppendQuoted(to, markup.Text, run);
                to.Append(')');
                break;
            case ListValue list: AppendItems(to, "[", list.Items, "]", run); break;
            case TupleValue tuple: AppendItems(to, "(", tuple.Items, tuple.Items.Length == 1 ? ",)" : ")", run); break;
            case DictValue dict:
                var first = true;
                to.Append('{');
                foreach (var (key, item) in dict)
                {
                    to.Append(first ? "" : ", ");
                    AppendRepr(to, key, run);
                    to.Append(": ");
                    AppendRepr(to, item, run);
                    first = false;
                }
                to.Append('}');
                break;
            case Callable callable: to.Append(CultureInfo.InvariantCulture, $"<function {callable.Name}>"); break;
            default: to.Append(CultureInfo.InvariantCulture, $"<{PythonType.Name(value)}>"); break;
        }
    }

    private static void AppendItems(StringBuilder to, string open, object[] items, string close, Rendering run)
    {
        to.Append(open);
        for (var i = 0; i < items.Length; i++)
        {
            to.Append(i == 0 ? "" : ", ");
            AppendRepr(to, items[i], run);
        }
        to.Append(close);
    }

    private static void AppendQuoted(StringBuilder to, string text, Rendering run)
    {
        run.ChargeText(text.Length);
        var quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        to.Append(quote);
        for (int i = 0, width; i < text.Length; i += width)
        {
            width = WidthAt(text, i);
            var scalar = width == 2 ? char.ConvertToUtf32(text[i], text[i + 1]) : text[i];
            if (scalar == quote || scalar == '\\')
                to.Append('\\').Append((char)scalar);
            else if (scalar is >= ' ' and < 0x7f)
                to.Append((char)scalar);
            else if (scalar is '\n' or '\r' or '\t')
                to.Append(scalar switch { '\n' => "\\n", '\r' => "\\r", _ => "\\t" });
            else if (IsPrintable(scalar))
                to.Append(text, i, width);
            else
                to.Append(scalar switch { < 0x100 => $"\\x{scalar:x2}", < 0x10000 => $"\\u{scalar:x4}", _ => $"\\U{scalar:x8}" });
        }
        to.Append(quote);
    }

    private static bool IsPrintable(int scalar) => CharUnicodeInfo.GetUnicodeCategory(scalar) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);

    /// <summary>Of text beside <see cref="Markup"/>, as MarkupSafe does.</summary>
    public static string EscapeHtml(string text) => text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal)
        .Replace(">", "&gt;", StringComparison.Ordinal).Replace("'", "&#39;", StringComparison.Ordinal).Replace("\"", "&#34;", StringComparison.Ordinal);
}
