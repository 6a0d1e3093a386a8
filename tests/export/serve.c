/* Loads a SavedModel by TensorFlow's C API, runs its default signature on float images read
   from a file, and prints the probabilities. Names and sizes come as arguments. */
#include <stdio.h>
#include <stdlib.h>
#include <tensorflow/c/c_api.h>

static void check(TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s\n", TF_Message(status));
    exit(1);
  }
}

static TF_Output tensor(TF_Graph *graph, const char *name, int index) {
  TF_Output output = {TF_GraphOperationByName(graph, name), index};
  if (output.oper == NULL) {
    fprintf(stderr, "no operation %s\n", name);
    exit(1);
  }
  return output;
}

/* arguments: folder, images, input's operation, output's operation and index, B, H, W, C */
int main(int count, char **arguments) {
  if (count != 10) return 2;
  int64_t shape[4];
  size_t values = 1;
  for (int axis = 0; axis < 4; axis++) values *= shape[axis] = atoll(arguments[6 + axis]);

  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(
      options, NULL, arguments[1], tags, 1, graph, NULL, status);
  check(status);

  TF_Tensor *images = TF_AllocateTensor(TF_FLOAT, shape, 4, values * sizeof(float));
  FILE *file = fopen(arguments[2], "rb");
  if (file == NULL || fread(TF_TensorData(images), sizeof(float), values, file) != values)
    return 2;
  fclose(file);

  TF_Output input = tensor(graph, arguments[3], 0);
  TF_Output output = tensor(graph, arguments[4], atoi(arguments[5]));
  TF_Tensor *result = NULL;
  TF_SessionRun(session, NULL, &input, &images, 1, &output, &result, 1, NULL, 0, NULL, status);
  check(status);

  const float *probabilities = TF_TensorData(result);
  size_t size = TF_TensorByteSize(result) / sizeof(float);
  for (size_t index = 0; index < size; index++) printf("%.9g\n", probabilities[index]);

  TF_DeleteTensor(result);
  TF_DeleteTensor(images);
  TF_CloseSession(session, status);
  check(status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
