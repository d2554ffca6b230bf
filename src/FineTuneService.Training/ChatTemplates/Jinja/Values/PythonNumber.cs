using System.Globalization;
using System.Numerics;

namespace FineTuneService.Training.ChatTemplates.Jinja.Values;

/// <summary>Python's numbers: bool is an integer, // and % round down, and an integer that leaves 64 bits is refused.</summary>
internal static class PythonNumber
{
    public static bool Is(object value) => value is long or double or bool or BigInteger;

    /// <summary>An integer, or a bool as one.</summary>
    public static bool TryInteger(object value, out long integer)
    {
        integer = value switch { long whole => whole, bool truth => truth ? 1 : 0, _ => 0 };
        return value is long or bool;
    }

    public static double Real(object value) => value switch
    {
        double real => real,
        long integer => integer,
        bool truth => truth ? 1 : 0,
        BigInteger big => (double)big,
        _ => throw new TemplateError($"a number is expected, not '{PythonType.Name(value)}'"),
    };

    /// <returns>-1, 0, 1, or null where NaN is involved.</returns>
    public static int? Compare(object left, object right)
    {
        if (TryInteger(left, out var a) && TryInteger(right, out var b))
            return a.CompareTo(b);
        if (left is BigInteger || right is BigInteger)
            return left is double || right is double ? Order(Real(left), Real(right)) : Big(left).CompareTo(Big(right));
        return Order(Real(left), Real(right));
    }

    public static object Calculate(char operation, object left, object right)
    {
        if (left is BigInteger || right is BigInteger)
            throw TooLarge();
        try
        {
            return TryInteger(left, out var a) && TryInteger(right, out var b) && (operation != '/') && (operation != '^' || b >= 0)
                ? Boxed.Of(checked(Integers(operation, a, b)))
                : Reals(operation, Real(left), Real(right));
        }
        catch (OverflowException)
        {
            throw TooLarge();
        }
    }

    public static object Negate(object value) => value switch
    {
        double real => -real,
        BigInteger big => -big,
        _ when TryInteger(value, out var integer) && integer != long.MinValue => Boxed.Of(-integer),
        _ => throw TooLarge(),
    };

    /// <summary>The shortest digits that give the same double, written as Python does.</summary>
    public static string Repr(double value)
    {
        if (double.IsNaN(value))
            return "nan";
        if (double.IsInfinity(value))
            return value > 0 ? "inf" : "-inf";
        // .NET finds the same shortest digits; Python lays them out differently.
        var shortest = value.ToString("R", CultureInfo.InvariantCulture).Split('E');
        var sign = shortest[0].StartsWith('-') ? "-" : "";
        var mantissa = shortest[0].TrimStart('-');
        var point = mantissa.IndexOf('.') is >= 0 and var at ? at : mantissa.Length;
        var digits = mantissa.Replace(".", "", StringComparison.Ordinal);
        var significant = digits.Trim('0');
        if (significant.Length == 0)
            return sign + "0.0";
        var leading = digits.Length - digits.TrimStart('0').Length;
        var exponent = point - leading - 1 + (shortest.Length > 1 ? int.Parse(shortest[1], CultureInfo.InvariantCulture) : 0);
        if (exponent is < -4 or >= 16)
            return $"{sign}{significant[0]}{(significant.Length > 1 ? "." + significant[1..] : "")}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";
        if (exponent < 0)
            return $"{sign}0.{new string('0', -exponent - 1)}{significant}";
        significant = significant.PadRight(exponent + 2, '0');
        return $"{sign}{significant[..(exponent + 1)]}.{significant[(exponent + 1)..]}";
    }

    private static long Integers(char operation, long a, long b) => operation switch
    {
        '+' => checked(a + b),
        '-' => checked(a - b),
        '*' => checked(a * b),
        '^' => Power(a, b),
        _ when b == 0 => throw new TemplateError("integer division or modulo by zero"),
        '%' => b == -1 ? 0 : a % b is var rest && rest != 0 && rest < 0 != b < 0 ? rest + b : rest,
        _ => b == -1 ? checked(-a) : a / b - (a % b != 0 && a < 0 != b < 0 ? 1 : 0),
    };

    private static long Power(long a, long exponent)
    {
        long result = 1;
        while (exponent > 0)
        {
            if ((exponent & 1) == 1)
                result = checked(result * a);
            exponent >>= 1;
            if (exponent > 0)
                a = checked(a * a);
        }
        return result;
    }

    private static double Reals(char operation, double a, double b) => operation switch
    {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        '^' => Math.Pow(a, b),
        _ when b == 0 => throw new TemplateError("division by zero"),
        '/' => a / b,
        '%' => a - b * Math.Floor(a / b),
        _ => Math.Floor(a / b),
    };

    private static int? Order(double a, double b) => double.IsNaN(a) || double.IsNaN(b) ? null : a.CompareTo(b);

    private static BigInteger Big(object value) => value is BigInteger big ? big : TryInteger(value, out var integer) ? integer : 0;

    private static TemplateError TooLarge() => new("an integer leaves 64 bits");
}
