using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

/// <summary>Python's <c>'{} {name} {0:>8.2f}'.format(…)</c>. A field is a position or a name; it does not reach into members.</summary>
internal static partial class BraceFormat
{
    public static string Format(string format, Arguments arguments, Rendering run)
    {
        var text = new StringBuilder();
        var next = 0;
        for (var i = 0; i < format.Length; i++)
        {
            run.ChargeItems(1);
            var c = format[i];
            if (c is '{' or '}' && i + 1 < format.Length && format[i + 1] == c)
                i++;
            else if (c == '}')
                throw new TemplateError("Single '}' encountered in format string");
            else if (c == '{')
            {
                var end = format.IndexOf('}', i);
                if (end < 0)
                    throw new TemplateError("expected '}' before end of string");
                text.Append(run.Text(Field(format[(i + 1)..end], arguments, ref next, run)));
                i = end;
                continue;
            }
            text.Append(c);
        }
        return run.Text(text.ToString());
    }

    private static string Field(string field, Arguments arguments, ref int next, Rendering run)
    {
        var parts = FieldParts().Match(field);
        if (!parts.Success)
            throw new TemplateError($"The format field '{{{field}}}' is not supported");
        var name = parts.Groups["name"].Value;
        var value = name.Length == 0 ? At(next++)
            : int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? At(index)
            : arguments.Keyword(name) ?? throw new TemplateError($"no argument '{name}' for the format");
        if (parts.Groups["conversion"].Value is { Length: > 0 } conversion)
            value = conversion == "r" ? PythonText.Repr(value, run) : PythonText.Str(value, run);
        return One(value, parts, run);

        object At(int position) => position < arguments.Positional.Length ? arguments.Positional[position] : throw new TemplateError($"Replacement index {position} out of range for positional args tuple");
    }

    private static string One(object value, Match parts, Rendering run)
    {
        var width = Number("width") ?? 0;
        var precision = Number("precision");
        var isNumber = PythonNumber.Is(value) && value is not bool || parts.Groups["type"].Value is { Length: > 0 } and not "s";
        var zeros = parts.Groups["zero"].Length > 0;
        var alignment = parts.Groups["align"].Value is [var given] ? given : isNumber ? zeros ? '=' : '>' : '<';
        var fill = parts.Groups["fill"].Value is [var filler] ? filler : zeros ? '0' : ' ';
        if (!isNumber)
        {
            var text = PythonText.Str(value, run);
            if (precision is { } most && most < PythonText.Length(text))
                text = string.Concat(PythonText.Characters(text, run).Take(most));
            return NumberFormat.Pad("", text, width, fill, alignment, run);
        }
        PythonOperators.RequireDefined(value, value);
        if (!PythonNumber.Is(value))
            throw new TemplateError($"Unknown format code '{parts.Groups["type"].Value}' for object of type '{PythonType.Name(value)}'");
        var type = parts.Groups["type"].Value is [var letter] ? letter : value is double ? precision is null ? '\0' : 'g' : 'd';
        var digits = type == '\0' ? PythonNumber.Repr(Math.Abs((double)value)) : NumberFormat.Digits(value, type, precision, parts.Groups["group"].Value is [var separator] ? separator : '\0');
        return NumberFormat.Pad(NumberFormat.Sign(value, parts.Groups["sign"].Value is ['+' or ' '] sign ? sign[0] : '\0'), digits, width, fill, alignment, run);

        int? Number(string group) => parts.Groups[group].Value is not { Length: > 0 } digits ? null
            : int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number
            : throw TemplateError.Limit("A width in a format is too large");
    }

    [GeneratedRegex(@"^(?<name>\w*)(!(?<conversion>[rsa]))?(:((?<fill>.)?(?<align>[<>=^]))?(?<sign>[-+ ])?(?<zero>0)?(?<width>\d*)(?<group>[,_])?(\.(?<precision>\d+))?(?<type>[sdxXobeEfFgG%])?)?$", RegexOptions.Singleline | RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant)]
    private static partial Regex FieldParts();
}
