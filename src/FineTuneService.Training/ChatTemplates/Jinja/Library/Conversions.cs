using System.Globalization;
using System.Numerics;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

/// <summary>The filters <c>int</c>, <c>float</c> and <c>round</c>.</summary>
internal static class Conversions
{
    public static object ToInteger(object value, object otherwise, int radix)
    {
        if (PythonText.TryGet(value, out var text))
        {
            var digits = text.Trim().Replace("_", "", StringComparison.Ordinal);
            return Parse(digits, radix) ?? (TryReal(digits, out var parsed) ? Truncate(parsed) ?? otherwise : otherwise);
        }
        return value switch
        {
            double real => Truncate(real) ?? otherwise,
            BigInteger => value,
            _ when PythonNumber.TryInteger(value, out var integer) => Boxed.Of(integer),
            Undefined undefined => throw new TemplateError(undefined.Message),
            _ => otherwise,
        };
    }

    public static object ToReal(object value, object otherwise) => value switch
    {
        Undefined undefined => throw new TemplateError(undefined.Message),
        _ when PythonNumber.Is(value) => PythonNumber.Real(value),
        _ when PythonText.TryGet(value, out var text) && TryReal(text.Trim().Replace("_", "", StringComparison.Ordinal), out var real) => real,
        _ => otherwise,
    };

    public static object Round(object value, int precision, string method)
    {
        if (!PythonNumber.Is(value))
            throw new TemplateError($"type {PythonType.Name(value)} doesn't define __round__ method");
        precision = Math.Clamp(precision, -300, 300);
        if (method == "common" && value is not double)
            return precision >= 0 ? value : throw new TemplateError("whole numbers are rounded to whole numbers only");
        var (real, scale) = (PythonNumber.Real(value), Math.Pow(10, precision));
        return method switch
        {
            "common" when precision is >= 0 and <= 15 => Math.Round(real, precision, MidpointRounding.ToEven),
            "common" => precision > 15 ? real : Math.Round(real * scale, MidpointRounding.ToEven) / scale,
            "ceil" => Math.Ceiling(real * scale) / scale,
            "floor" => Math.Floor(real * scale) / scale,
            _ => throw new TemplateError("method must be common, ceil or floor"),
        };
    }

    private static bool TryReal(string text, out double real) =>
        double.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out real);

    private static object? Truncate(double real) => Math.Abs(real) < long.MaxValue ? Boxed.Of((long)real) : null;

    private static object? Parse(string digits, int radix)
    {
        if (radix == 10)
            return long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var integer) ? Boxed.Of(integer) : null;
        if (radix is not (2 or 8 or 16))
            throw new TemplateError($"int() with base {radix} is not supported");
        var prefix = radix switch { 2 => "0b", 8 => "0o", _ => "0x" };
        var bare = digits.StartsWith(prefix, StringComparison.OrdinalIgnoreCase) ? digits[2..] : digits;
        try
        {
            return bare.Length == 0 ? null : Boxed.Of(Convert.ToInt64(bare, radix));
        }
        catch (Exception error) when (error is FormatException or OverflowException or ArgumentException)
        {
            return null;
        }
    }
}
