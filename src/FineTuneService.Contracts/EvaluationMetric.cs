namespace FineTuneService.Contracts;

/// <summary>Names of what evaluations measure, as transformers has them: <c>eval_loss</c>, which may be called <c>loss</c> where a metric is chosen.</summary>
public static class EvaluationMetric
{
    public const string Prefix = "eval_";

    private static readonly string[] Falling = ["loss", "perplexity", "mse", "mae"];

    /// <summary>Whether less of it is better, as of losses and of a regression's errors.</summary>
    public static bool ShouldFall(string name) => Falling.Any(ending => name.EndsWith(ending, StringComparison.Ordinal));

    /// <summary>The name with its prefix.</summary>
    public static string Named(string name) => name.StartsWith(Prefix, StringComparison.Ordinal) ? name : Prefix + name;
}
