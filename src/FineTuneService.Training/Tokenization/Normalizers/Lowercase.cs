namespace FineTuneService.Training.Tokenization.Normalizers;

/// <summary>Lower case scalar by scalar: a final sigma stays σ.</summary>
internal sealed class Lowercase : Normalizer
{
    public override NormalizedString Normalize(NormalizedString text)
    {
        var result = new NormalizedString(text.Length);
        for (int i = 0, width; i < text.Length; i += width)
        {
            var scalar = text.ScalarAt(i);
            width = UnicodeClasses.Width(scalar);
            Add(result, scalar, text.Origins[i]);
        }
        return result;
    }

    public static void Add(NormalizedString result, int scalar, (int Start, int End) origin)
    {
        if (scalar == 'İ')
            result.Add("i\u0307", origin);
        else
            result.AddScalar(UnicodeClasses.ToLower(scalar), origin);
    }
}
