namespace FineTuneService.Training.Assessment;

/// <summary>
/// One number by which all logits are divided, so that a probability of 0.8 is right four times of five (Guo et al. 2017, arXiv:1706.04599). It changes no prediction.
/// In β = 1 / temperature the negative log-likelihood is convex, so its slope crosses zero once: Newton's steps, halving the bracket where they leave it.
/// </summary>
public static class TemperatureScaling
{
    private const double Lowest = 1.0 / 20, Highest = 20, Precision = 1e-10;

    /// <returns>At most 20, of a model that knows no better than to guess; 1 where the likelihood has no maximum above a temperature of 1/20, as where every row is right: then no row says how sure is too sure.</returns>
    public static double Fit(ClassifierOutputs outputs)
    {
        var beta = Slope(outputs, Lowest).First >= 0 ? Lowest : Slope(outputs, Highest).First <= 0 ? 1 : Minimum(outputs);
        return NegativeLogLikelihood(outputs, 1 / beta) < NegativeLogLikelihood(outputs, 1) ? 1 / beta : 1;
    }

    private static double Minimum(ClassifierOutputs outputs)
    {
        var (low, high, beta) = (Lowest, Highest, 1.0);
        while (high - low > Precision * beta)
        {
            var (first, second) = Slope(outputs, beta);
            (low, high) = first < 0 ? (beta, high) : (low, beta);
            var next = beta - (first / second);
            if (!(next > low && next < high))
                next = (low + high) / 2;
            if (Math.Abs(next - beta) <= Precision * beta)
                return next;
            beta = next;
        }
        return beta;
    }

    /// <summary>Mean over the rows, of many labels over rows and classes, in nats.</summary>
    public static double NegativeLogLikelihood(ClassifierOutputs outputs, double temperature)
    {
        var sum = 0.0;
        for (var row = 0; row < outputs.Rows; row++)
        {
            var (logits, targets) = (outputs.Logits[row], outputs.Targets[row]);
            if (outputs.IsSingleLabel)
            {
                double highest = logits.Max(), truth = logits[(int)targets[0]];
                sum += Math.Log(logits.Sum(logit => Math.Exp((logit - highest) / temperature))) - ((truth - highest) / temperature);
            }
            else
                sum += logits.Zip(targets, (logit, target) => Softplus(logit / temperature) - (target * logit / temperature)).Sum();
        }
        return sum / (outputs.IsSingleLabel ? outputs.Rows : (double)outputs.Rows * outputs.Labels.Count);
    }

    /// <summary>First and second derivative by β of the likelihood's sum: the mean logit under the model less the true one, and its variance.</summary>
    private static (double First, double Second) Slope(ClassifierOutputs outputs, double beta)
    {
        double first = 0, second = 0;
        for (var row = 0; row < outputs.Rows; row++)
        {
            var (logits, targets) = (outputs.Logits[row], outputs.Targets[row]);
            var probabilities = outputs.Probabilities(row, 1 / beta);
            if (outputs.IsSingleLabel)
            {
                double mean = 0, square = 0;
                for (var label = 0; label < logits.Length; label++)
                    (mean, square) = (mean + (probabilities[label] * logits[label]), square + (probabilities[label] * logits[label] * logits[label]));
                (first, second) = (first + mean - logits[(int)targets[0]], second + square - (mean * mean));
            }
            else
                for (var label = 0; label < logits.Length; label++)
                    (first, second) = (first + ((probabilities[label] - targets[label]) * logits[label]), second + (probabilities[label] * (1 - probabilities[label]) * logits[label] * logits[label]));
        }
        return (first, second);
    }

    /// <summary>log(1 + eˣ).</summary>
    private static double Softplus(double x) => Math.Max(x, 0) + Math.Log(1 + Math.Exp(-Math.Abs(x)));
}
