using System.Globalization;
using System.Numerics;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

/// <summary>What Python's two ways of formatting share: a number's digits, its sign, and the filling up to a width.</summary>
internal static class NumberFormat
{
    /// <param name="value">A number.</param>
    /// <param name="type">d, x, X, o, b, e, E, f, F, g, G or %.</param>
    /// <param name="precision">Digits after the point (significant ones with g); null: 6.</param>
    /// <param name="grouping">A comma or underscore between thousands, or NUL.</param>
    /// <returns>Digits without a sign.</returns>
    public static string Digits(object value, char type, int? precision, char grouping = '\0')
    {
        if (type is 'd' or 'x' or 'X' or 'o' or 'b')
        {
            var integer = BigInteger.Abs(value switch
            {
                BigInteger big => big,
                double real when type == 'd' && double.IsFinite(real) => new BigInteger(real),
                _ when PythonNumber.TryInteger(value, out var whole) => whole,
                _ => throw new TemplateError($"a format of type '{type}' needs an integer, not {PythonType.Name(value)}"),
            });
            return type switch
            {
                'd' => Group(integer.ToString(CultureInfo.InvariantCulture), grouping),
                'o' => Convert.ToString((long)integer, 8),
                'b' => Convert.ToString((long)integer, 2),
                _ => integer == 0 ? "0" : integer.ToString(type.ToString(), CultureInfo.InvariantCulture).TrimStart('0'),
            };
        }
        var number = Math.Abs(PythonNumber.Real(value)) * (type == '%' ? 100 : 1);
        if (!double.IsFinite(number))
            return double.IsNaN(number) ? "nan" : "inf";
        var digits = Math.Clamp(precision ?? 6, 0, 300);
        return type switch
        {
            'f' or 'F' => Fixed(number, digits, grouping),
            '%' => Fixed(number, digits, grouping) + "%",
            'e' or 'E' => Scientific(number, digits, type),
            _ => General(number, Math.Max(1, digits), type),
        };
    }

    public static string Sign(object value, char positive) => PythonNumber.Compare(value, Boxed.Of(0)) < 0 ? "-" : positive == '\0' ? "" : positive.ToString();

    /// <param name="sign">Stays in front of zeros that fill.</param>
    /// <param name="body">The rest.</param>
    /// <param name="width">In code points.</param>
    /// <param name="fill">One character.</param>
    /// <param name="alignment">&lt; &gt; ^, or = between sign and digits.</param>
    /// <param name="run">Pays.</param>
    public static string Pad(string sign, string body, int width, char fill, char alignment, Rendering run)
    {
        var missing = Math.Max(0, width - PythonText.Length(body) - sign.Length);
        run.ChargeText(1, missing);
        return alignment switch
        {
            '<' => sign + body + new string(fill, missing),
            '=' => sign + new string(fill, missing) + body,
            '^' => new string(fill, missing / 2) + sign + body + new string(fill, missing - missing / 2),
            _ => new string(fill, missing) + sign + body,
        };
    }

    private static string Fixed(double number, int digits, char grouping)
    {
        var text = number.ToString("F" + digits, CultureInfo.InvariantCulture);
        var point = text.IndexOf('.');
        return point < 0 ? Group(text, grouping) : Group(text[..point], grouping) + text[point..];
    }

    private static string Scientific(double number, int digits, char type)
    {
        var parts = number.ToString($"{type}{digits}", CultureInfo.InvariantCulture).Split(type);
        return $"{parts[0]}{type}{parts[1][0]}{parts[1][1..].TrimStart('0').PadLeft(2, '0')}";
    }

    private static string General(double number, int digits, char type)
    {
        var marker = type == 'G' ? 'E' : 'e';
        var scientific = Scientific(number, digits - 1, marker).Split(marker);
        var exponent = number == 0 ? 0 : int.Parse(scientific[1], CultureInfo.InvariantCulture);
        return exponent < -4 || exponent >= digits
            ? $"{Trim(scientific[0])}{marker}{scientific[1]}"
            : Trim(number.ToString("F" + Math.Max(0, digits - 1 - exponent), CultureInfo.InvariantCulture));

        static string Trim(string text) => text.Contains('.') ? text.TrimEnd('0').TrimEnd('.') : text;
    }

    private static string Group(string digits, char separator)
    {
        if (separator == '\0')
            return digits;
        for (var at = digits.Length - 3; at > 0; at -= 3)
            digits = digits.Insert(at, separator.ToString());
        return digits;
    }
}
