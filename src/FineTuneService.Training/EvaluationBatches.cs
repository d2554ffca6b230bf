using FineTuneService.Contracts;
using FineTuneService.Training.Native;

namespace FineTuneService.Training;

/// <summary>How many rows an evaluation takes at once: half as many, from then on, whenever memory runs out.</summary>
public sealed class EvaluationBatches(RunFolder folder, int size, Action<TrainingEvent> emit)
{
    private int _size = size;

    /// <summary>Calls <paramref name="evaluate"/> with the number of rows, and again with fewer where that was too many.</summary>
    /// <exception cref="FaultException">When one row is too many.</exception>
    public T Fit<T>(Func<int, T> evaluate)
    {
        while (true)
        {
            try
            {
                return evaluate(_size);
            }
            catch (Exception error) when (OutOfMemory.Is(error))
            {
                Halve(OutOfMemory.Describe(error));
            }
        }
    }

    public void Fit(Action<int> evaluate) => Fit(size =>
    {
        evaluate(size);
        return true;
    });

    private void Halve(string cause)
    {
        if (_size == 1)
            throw new FaultException("/training/per_device_eval_batch_size", "1", $"Memory ran out in an evaluation of one row: {cause}.", "Shorten max_length, or use a machine with more memory.");
        var before = _size;
        _size = (_size + 1) / 2;
        RunAdaptation.Change(folder, adaptation => adaptation with { EvalBatchSize = _size });
        emit(RunAdaptation.OutOfMemory($"Memory ran out in an evaluation: {cause}. It is repeated with {_size} rows at a time instead of {before}, and so are those to come."));
    }
}
