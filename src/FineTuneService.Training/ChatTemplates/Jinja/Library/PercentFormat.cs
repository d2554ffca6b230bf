using System.Globalization;
using System.Text;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

/// <summary>Python's <c>'%s of %d' % (a, b)</c>, and with names: <c>'%(a)s' % dict</c>.</summary>
internal static class PercentFormat
{
    public static string Format(string format, object values, Rendering run)
    {
        var positional = values is TupleValue tuple ? tuple.Items : [values];
        var (used, byName) = (0, false);
        var text = new StringBuilder();
        var i = 0;
        while (i < format.Length)
        {
            run.ChargeItems(1);
            if (format[i] != '%')
            {
                text.Append(format[i++]);
                continue;
            }
            i++;
            object? named = null;
            if (Peek() == '(')
            {
                var end = format.IndexOf(')', i);
                named = end < 0 || values is not DictValue dict ? throw new TemplateError("format requires a mapping")
                    : dict.TryGetValue(format[(i + 1)..end], out var entry) ? entry : throw new TemplateError($"no value for '{format[(i + 1)..end]}' in the format");
                (i, byName) = (end + 1, true);
            }
            var flags = Read(c => c is '-' or '0' or '+' or ' ' or '#');
            var width = ReadNumber() ?? 0;
            var precision = Peek() == '.' && i++ >= 0 ? ReadNumber() ?? 0 : (int?)null;
            var type = i < format.Length ? format[i++] : throw new TemplateError("incomplete format");
            if (type == '%')
                text.Append('%');
            else
                text.Append(run.Text(One(type, named ?? Next(), flags, width, precision, run)));
            if (text.Length > 1 << 24)
                throw TemplateError.Limit("The template makes too long a string");
        }
        return used < positional.Length && !byName && values is not (DictValue or ListValue) ? throw new TemplateError("not all arguments converted during string formatting") : run.Text(text.ToString());

        char Peek() => i < format.Length ? format[i] : '\0';

        object Next() => used < positional.Length ? positional[used++] : throw new TemplateError("not enough arguments for format string");

        string Read(Func<char, bool> belongs)
        {
            var start = i;
            while (i < format.Length && belongs(format[i]))
                i++;
            return format[start..i];
        }

        int? ReadNumber() => Peek() == '*' && i++ >= 0 ? new object?[] { Next() }.Integer(0, 0)
            : Read(char.IsAsciiDigit) is not { Length: > 0 } digits ? null
            : int.TryParse(digits, CultureInfo.InvariantCulture, out var number) ? number
            : throw TemplateError.Limit("A width in a format is too large");
    }

    private static string One(char type, object value, string flags, int width, int? precision, Rendering run)
    {
        var alignment = flags.Contains('-') ? '<' : '>';
        if (type is 's' or 'r' or 'a' or 'c')
        {
            var text = type == 's' ? PythonText.Str(value, run) : type == 'c' && PythonNumber.TryInteger(value, out var scalar) && Rune.IsValid((int)scalar) ? new Rune((int)scalar).ToString()
                : type == 'c' ? PythonText.Str(value, run) : PythonText.Repr(value, run);
            if (precision is { } most && most < PythonText.Length(text))
                text = string.Concat(PythonText.Characters(text, run).Take(most));
            return NumberFormat.Pad("", text, width, ' ', alignment, run);
        }
        if (!"diuxXoeEfFgG".Contains(type))
            throw new TemplateError($"unsupported format character '{type}'");
        PythonOperators.RequireDefined(value, value);
        if (!PythonNumber.Is(value))
            throw new TemplateError($"%{type} format: a real number is required, not {PythonType.Name(value)}");
        var digits = NumberFormat.Digits(value, type is 'i' or 'u' ? 'd' : type, precision);
        var sign = NumberFormat.Sign(value, flags.Contains('+') ? '+' : flags.Contains(' ') ? ' ' : '\0');
        if (flags.Contains('#') && type is 'x' or 'X' or 'o' && flags.Contains('#'))
            sign += "0" + type;
        return flags.Contains('0') && alignment == '>' ? NumberFormat.Pad(sign, digits, width, '0', '=', run) : NumberFormat.Pad(sign, digits, width, ' ', alignment, run);
    }
}
